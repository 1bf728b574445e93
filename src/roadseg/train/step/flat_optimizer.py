"""AdamW and Muon over flat buffers, with clipping, averaged weights and a finite check: few operations for all weights.

Keras' own makes about thirty small operations for each of the model's variables, which take longer than what they
compute.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import keras
from keras import ops

from roadseg.train.models.fast import on_tensorflow
from roadseg.train.step.muon import MuonPart, is_matrix
from roadseg.train.step.parts import BETA_1, AdamWPart, Move, Part, in_chains


@dataclass(frozen=True)
class Slower:
    """Variables that move at a share of the rate, as those of a pretrained encoder.

    Attributes:
        paths: of the variables.
        share: 0..1.
        frozen: first steps, in which they do not move at all.
    """

    paths: frozenset[str]
    share: float
    frozen: int


class FlatOptimizer(keras.optimizers.Optimizer):  # type: ignore[misc]  # Keras ships no types
    """AdamW as Keras computes it, step by step, and Muon for large kernels where it is asked for.

    All variables are float32 and have a gradient. A batch whose gradients are not finite changes nothing but `skipped`,
    which counts it.

    Attributes:
        skipped: variable, int32 (): batches left out so far.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019; for Muon see `muon`.
    """

    def __init__(
        self,
        schedule: keras.optimizers.schedules.LearningRateSchedule,
        *,
        weight_decay: float,
        beta_2: float,
        clip: float,
        average: float,
        accumulate: int = 1,
        muon: int = 0,
        slower: Slower | None = None,
    ) -> None:
        """Make an optimiser.

        Args:
            schedule: of the learning rate, by step.
            weight_decay: decoupled, on kernels only: what has more than one axis.
            beta_2: momentum of the squared gradients.
            clip: largest norm of all gradients together.
            average: momentum of the averaged weights.
            accumulate: batches whose mean gradient makes a step.
            muon: every so many steps large kernels move, by Muon; 0: they move by AdamW, as all others.
            slower: variables that move less than the others.
        """
        super().__init__(BySteps(schedule, accumulate))
        self._decay, self._beta_2, self._clip = weight_decay, beta_2, clip
        self._momentum, self._accumulate, self._muon, self._slower = average, accumulate, muon, slower

    def build(self, variables: list[keras.Variable]) -> None:
        """Make the buffers: `CHAINS` of each kind for the kernels, which work side by side, and one for the rest."""
        if self.built:
            return
        super().build(variables)
        slower = self._slower.paths if self._slower else frozenset()
        self._parts: list[Part] = []
        for group, taken in (("", False), ("slower_", True)):
            own = [number for number, variable in enumerate(variables) if (variable.path in slower) == taken]
            self._parts += self._parts_of(own, variables, group, slower=taken)
        self.skipped = self.add_variable((), dtype="int32", name="skipped")

    def _parts_of(self, own: list[int], variables: list[keras.Variable], group: str, *, slower: bool) -> list[Part]:
        """The buffers of the variables with these numbers."""
        kernels = [number for number in own if len(variables[number].shape) > 1]
        matrices = [number for number in kernels if self._muon and is_matrix(variables[number].shape)]
        others = [number for number in kernels if number not in matrices]
        rest = [number for number in own if number not in kernels]
        kinds: list[tuple[str, list[list[int]], Callable[..., Part]]] = [
            ("kernels", in_chains(others, variables), partial(AdamWPart, decay=self._decay)),
            ("matrices", in_chains(matrices, variables), partial(MuonPart, every=self._muon, decay=self._decay)),
            ("rest", [rest] if rest else [], partial(AdamWPart, decay=0.0)),
        ]
        return [
            make(self, variables, f"{group}{kind}_{n}", numbers, accumulate=self._accumulate, slower=slower)
            for kind, parts, make in kinds
            for n, numbers in enumerate(parts)
        ]

    def scale_loss(self, loss: Any) -> Any:
        """The loss itself; one that is not finite has no finite gradients either, so that its step is left out."""
        return loss * ops.where(ops.isfinite(loss), 1.0, float("nan"))

    def apply(self, grads: list[Any], trainable_variables: list[keras.Variable] | None = None) -> None:
        """Take a batch's gradients, in the order of the variables that it was built with."""
        flat = [part.flat(grads) for part in self._parts]
        finite = ops.isfinite(sum(ops.sum(ops.square(each)) for each in flat))
        batch, steps = self._iterations, ops.floor_divide(self._iterations, self._accumulate)
        stepped = finite
        if self._accumulate > 1:
            stepped = ops.logical_and(finite, ops.equal(ops.mod(batch + 1, self._accumulate), 0))
            flat = [part.gathered(each, finite, stepped) for part, each in zip(self._parts, flat, strict=True)]
        norm = ops.sqrt(sum(ops.sum(ops.square(each)) for each in flat))
        scale = ops.where(stepped, self._clip * ops.minimum(1.0 / norm, 1.0 / self._clip), 0.0)
        move = self._move(steps, stepped)
        for part, each in zip(self._parts, flat, strict=True):
            part.move(_times(each, scale), replace(move, rate=move.rate * self._share(part, steps)))
        self.skipped.assign_add(ops.cast(ops.logical_not(finite), "int32"))
        self._iterations.assign_add(ops.cast(finite, self._iterations.dtype))

    def _move(self, steps: Any, stepped: Any) -> Move:
        """What a step does; by momenta of 1 and a rate of 0 nothing, which costs no second branch."""
        rate, number = ops.cast(self.learning_rate, "float32"), ops.cast(steps + 1, "float32")
        return Move(
            number=steps,
            stepped=stepped,
            rate=ops.where(stepped, rate, 0.0),
            momenta=(ops.where(stepped, BETA_1, 1.0), ops.where(stepped, self._beta_2, 1.0)),
            powers=(ops.power(BETA_1, number), ops.power(self._beta_2, number)),
            average=ops.where(stepped, ops.where(ops.equal(steps, 0), 0.0, self._momentum), 1.0),
        )

    def _share(self, part: Part, steps: Any) -> Any:
        """Of the rate, for a part."""
        if not (self._slower and part.slower):
            return 1.0
        return ops.where(ops.less(steps, self._slower.frozen), 0.0, self._slower.share)

    def finalize_variable_values(self, var_list: list[keras.Variable]) -> None:
        """Give the variables the averaged weights."""
        for part in self._parts:
            part.scatter(part.average.value)


class BySteps(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras ships no types
    """A schedule by step that is asked by batch."""

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, accumulate: int) -> None:
        """Take a schedule by step and the batches in a step."""
        self._schedule, self._accumulate = schedule, accumulate

    def __call__(self, batch: Any) -> Any:
        """The learning rate in a batch, counted from 0."""
        return self._schedule(ops.floor_divide(batch, self._accumulate))


def _times(gradient: Any, scale: Any) -> Any:
    """The gradient times a scale; zeros where that is 0, whatever the gradient is."""
    if on_tensorflow():
        import tensorflow as tf  # late: another backend must not load it

        return tf.math.multiply_no_nan(gradient, scale)
    return ops.where(scale == 0, 0.0, gradient * scale)
