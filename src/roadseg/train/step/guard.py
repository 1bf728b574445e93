"""A step whose loss or gradients are not finite is left out and counted; when that repeats the training stops."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from roadseg.contracts.errors import RoadsegError
from roadseg.contracts.files import replacing
from roadseg.machine.hardware import has_gpu
from roadseg.train.models.fast import on_tensorflow
from roadseg.train.params import CHAINS
from roadseg.train.step.memory import enough_memory
from roadseg.train.step.worker_processes import SINGLE_PROCESS, WorkerProcesses

SMALLEST = 4  # images that may be normalised by themselves
IN_A_ROW = 5  # steps; one may be an odd batch, so many are a wrong parameter or broken data


class GuardedModel(keras.Model):  # type: ignore[misc]  # Keras ships no types
    """A model whose averages of normalisation, too, stay as they were where its optimiser leaves a step out.

    On a CPU TensorFlow's kernels lose more by sharing their work between threads than they gain. So there a batch in
    training is `CHAINS` parts, each normalised by itself, whose kernels have one thread each and run side by side.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Compute the outputs of a batch."""
        images = inputs.shape[0] or 0
        if not training or not on_tensorflow() or has_gpu() or images < CHAINS * SMALLEST or images % CHAINS:
            return super().call(inputs, training=training, mask=mask)
        parts = ops.split(inputs, CHAINS)
        return ops.concatenate([super(GuardedModel, self).call(part, training=training, mask=mask) for part in parts])

    def train_step(self, *given: Any) -> Any:
        """Make a step: of the data on TensorFlow, of the whole state and the data on JAX, as Keras asks there."""
        if not on_tensorflow():
            logs, after = super().train_step(*given)
            (_, before, optimizer, _), (weights, moved, optimized, metrics) = given[0], after
            place = next(n for n, each in enumerate(self.optimizer.variables) if each is self.optimizer.skipped)
            whole = ops.equal(optimizer[place], optimized[place])
            moved = [ops.where(whole, new, old) for new, old in zip(moved, before, strict=True)]
            return logs, (weights, moved, optimized, metrics)
        before = [ops.copy(each) for each in (self.optimizer.skipped, *self.non_trainable_variables)]
        logs = super().train_step(*given)
        whole = ops.equal(before[0], self.optimizer.skipped)
        for variable, value in zip(self.non_trainable_variables, before[1:], strict=True):
            variable.assign(ops.where(whole, variable, value))
        return logs


class Guard:
    """Makes steps, and looks at each."""

    def __init__(
        self,
        model: keras.Model,
        folder: Path,
        samples: Callable[[int, int], list[str]],
        devices: int = 1,
        processes: WorkerProcesses = SINGLE_PROCESS,
    ) -> None:
        """Guard a training.

        Args:
            model: a `GuardedModel`, compiled with `FlatOptimizer`.
            folder: of the run; the names of the last bad batch are written there.
            samples: epoch and step to the names of the samples in that batch.
            devices: of this process, that share its images.
            processes: that make each step together.
        """
        self._model, self._folder, self._samples = model, folder, samples
        self._devices, self._single = devices, processes.count == 1
        self._in_a_row = 0

    def step(self, images: np.ndarray, masks: np.ndarray, epoch: int, step: int) -> float | None:
        """Train on a batch.

        Args:
            images, masks: see `batches.TrainingBatches.of_epoch`.
            epoch, step: where it stands, for the names.

        Returns:
            The loss; None where the step was left out.

        Raises:
            RoadsegError: the last of `IN_A_ROW` such steps.
            UsageError: the batch does not fit into the memory; names one that does.
        """
        model, skipped = self._model, self._skipped()
        fewer = (lambda number: model.train_on_batch(images[:number], masks[:number]), self._devices, self._single)
        with enough_memory(len(images), *fewer):
            loss = float(model.train_on_batch(images, masks, return_dict=True)["loss"])
        if self._skipped() == skipped:
            self._in_a_row = 0
            return loss
        self._in_a_row += 1
        self._report(epoch, step, loss)
        return None

    def _skipped(self) -> int:
        return int(ops.convert_to_numpy(self._model.optimizer.skipped))

    def _report(self, epoch: int, step: int, loss: float) -> None:
        names, path = self._samples(epoch, step), self._folder / "not-finite.json"
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({"epoch": epoch, "step": step, "samples": names}, indent=1) + "\n")
        print(f"warning: epoch {epoch} step {step}: loss {loss}, not finite; the step is left out", flush=True)
        if self._in_a_row == IN_A_ROW:
            raise RoadsegError(
                f"{IN_A_ROW} steps in a row were not finite (loss {loss}); the last batch's samples stand in {path}: "
                "lower train.learning_rate, or look at those samples"
            )
