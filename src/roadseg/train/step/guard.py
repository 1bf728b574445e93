"""A step whose loss or gradients are not finite is left out and counted; when that repeats the training stops."""

import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from roadseg.contracts.errors import RoadsegError
from roadseg.contracts.files import replacing
from roadseg.train.step.memory import enough_memory
from roadseg.train.step.worker_processes import SINGLE_PROCESS, WorkerProcesses

IN_A_ROW = 5  # steps; one may be an odd batch, so many are a wrong parameter or broken data
NEVER = 2**31 - 1


def skipping(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Wrap an optimiser: gradients that are not finite change nothing but `dynamic_scale`, which halves.

    The wrapper is Keras' loss scaling with a scale of 1 that never grows.
    """
    return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1.0, dynamic_growth_steps=NEVER)


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
            model: compiled with an optimiser that `skipping` made.
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
        model, scale = self._model, self._scale()
        kept = [np.array(variable) for variable in model.non_trainable_variables]  # the forward pass moves averages
        fewer = (lambda number: model.train_on_batch(images[:number], masks[:number]), self._devices, self._single)
        with enough_memory(len(images), *fewer):
            loss = float(model.train_on_batch(images, masks, return_dict=True)["loss"])
        if np.isfinite(loss) and self._scale() == scale:
            self._in_a_row = 0
            return loss
        for variable, value in zip(model.non_trainable_variables, kept, strict=True):
            variable.assign(value)
        self._in_a_row += 1
        self._report(epoch, step, loss)
        return None

    def _scale(self) -> float:
        return float(keras.ops.convert_to_numpy(self._model.optimizer.dynamic_scale))

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
