"""AdamW over flat buffers, with clipping, averaged weights and a finite check: a few operations for all weights.

Keras' own makes about thirty small operations for each of the model's variables, which take longer than what they
compute. On TensorFlow one fused kernel moves all weights; elsewhere the compiler makes one of the sums below.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from roadseg.train.models.fast import on_tensorflow
from roadseg.train.params import CHAINS

BETA_1, EPSILON = 0.9, 1e-7


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


class FlatAdamW(keras.optimizers.Optimizer):  # type: ignore[misc]  # Keras ships no types
    """AdamW as Keras computes it, step by step, for float32 variables that all have a gradient.

    A batch whose gradients are not finite changes nothing but `skipped`, which counts it.

    Attributes:
        skipped: variable, int32 (): batches left out so far.

    Source: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
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
            slower: variables that move less than the others.
        """
        super().__init__(BySteps(schedule, accumulate))
        self._decay, self._beta_2, self._clip = weight_decay, beta_2, clip
        self._momentum, self._accumulate, self._slower = average, accumulate, slower

    def build(self, variables: list[keras.Variable]) -> None:
        """Make the buffers: `CHAINS` of each kind for the kernels, which work side by side, and one for the rest."""
        if self.built:
            return
        super().build(variables)
        slower = self._slower.paths if self._slower else frozenset()
        self._parts: list[_Part] = []
        for group, taken in (("", False), ("slower_", True)):
            own = [number for number, variable in enumerate(variables) if (variable.path in slower) == taken]
            kernels = [number for number in own if len(variables[number].shape) > 1]
            rest = [number for number in own if len(variables[number].shape) <= 1]
            parts = [(f"kernels_{n}", part, self._decay) for n, part in enumerate(_shared(kernels, variables))]
            parts.append(("rest", rest, 0.0))
            self._parts += [
                _Part(self, variables, f"{group}{name}", part, decay, slower=taken)
                for name, part, decay in parts
                if part
            ]
        self.skipped = self.add_variable((), dtype="int32", name="skipped")

    def scale_loss(self, loss: Any) -> Any:
        """The loss itself; one that is not finite has no finite gradients either, so that its step is left out."""
        return loss * ops.where(ops.isfinite(loss), 1.0, float("nan"))

    def apply(self, grads: list[Any], trainable_variables: list[keras.Variable] | None = None) -> None:
        """Take a batch's gradients, in the order of the variables that it was built with."""
        flat = [part.flat(grads) for part in self._parts]
        finite = ops.isfinite(sum(ops.sum(ops.square(each)) for each in flat))
        batch, steps = self._iterations, ops.floor_divide(self._iterations, self._accumulate)
        stepped, rate = finite, ops.cast(self.learning_rate, "float32")
        if self._accumulate > 1:
            stepped = ops.logical_and(finite, ops.equal(ops.mod(batch + 1, self._accumulate), 0))
            flat = [part.gathered(each, finite, stepped) for part, each in zip(self._parts, flat, strict=True)]
        norm = ops.sqrt(sum(ops.sum(ops.square(each)) for each in flat))
        scale = self._clip * ops.minimum(1.0 / norm, 1.0 / self._clip)
        # a step that is left out moves nothing by momenta of 1 and a rate of 0, which costs no second branch
        momenta = [ops.where(stepped, momentum, 1.0) for momentum in (BETA_1, self._beta_2)]
        step = ops.cast(steps + 1, "float32")
        powers = [ops.power(momentum, step) for momentum in (BETA_1, self._beta_2)]
        average = ops.where(stepped, ops.where(ops.equal(steps, 0), 0.0, self._momentum), 1.0)
        for part, each in zip(self._parts, flat, strict=True):
            gradient = _times(each, ops.where(stepped, scale, 0.0))
            part.move(gradient, ops.where(stepped, rate * self._share(part, steps), 0.0), momenta, powers, average)
        self.skipped.assign_add(ops.cast(ops.logical_not(finite), "int32"))
        self._iterations.assign_add(ops.cast(finite, self._iterations.dtype))

    def _share(self, part: "_Part", steps: Any) -> Any:
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


class _Part:
    """Some of the variables, end to end, and their buffers, float32 (P,)."""

    def __init__(
        self,
        optimizer: FlatAdamW,
        variables: list[keras.Variable],
        name: str,
        numbers: list[int],
        decay: float,
        *,
        slower: bool,
    ) -> None:
        self._numbers, self._decay, self.slower = numbers, decay, slower
        self._variables = [variables[number] for number in numbers]
        ends, end = [], 0
        for variable in self._variables:
            end += int(ops.size(variable))
            ends.append(end)
        self._cuts = ends[:-1]

        def buffer(kind: str) -> keras.Variable:
            return optimizer.add_variable((end,), name=f"{name}_{kind}")

        self._momentum, self._velocity, self.average = (buffer(kind) for kind in ("momentum", "velocity", "average"))
        self._sum: Any = buffer("sum") if optimizer._accumulate > 1 else None
        self._every = optimizer._accumulate
        self._weights: Any = _scratch(end) if on_tensorflow() else None

    def flat(self, arrays: list[Any]) -> Any:
        """This part of what stands in the order of all variables, end to end."""
        return _joined([ops.cast(arrays[number], "float32") for number in self._numbers])

    def gathered(self, gradient: Any, finite: Any, stepped: Any) -> Any:
        """The mean gradient of the step's batches so far."""
        total = self._sum + ops.where(finite, gradient, 0.0)
        self._sum.assign(ops.where(stepped, ops.zeros_like(total), total))
        return total / self._every

    def move(self, gradient: Any, rate: Any, momenta: list[Any], powers: list[Any], average: Any) -> None:
        """Decay the weights, move them by a gradient, and their averages after them."""
        weights = _joined(self._variables)
        if self._decay:
            weights = weights * (1 - rate * self._decay)
        moved = (self._moved if self._weights is None else self._moved_at_once)(
            weights, gradient, rate, momenta, powers
        )
        self.average.assign_add((moved - self.average) * (1 - average))
        self.scatter(moved)

    def scatter(self, weights: Any) -> None:
        """Give the variables what `weights` holds of each."""
        parts = ops.split(weights, self._cuts) if self._cuts else [weights]
        for variable, part in zip(self._variables, parts, strict=True):
            variable.assign(ops.reshape(part, variable.shape))

    def _moved(self, weights: Any, gradient: Any, rate: Any, momenta: list[Any], powers: list[Any]) -> Any:
        first, second = self._momentum, self._velocity
        first.assign(first + (gradient - first) * (1 - momenta[0]))
        second.assign(second + (ops.square(gradient) - second) * (1 - momenta[1]))
        alpha = rate * ops.sqrt(1 - powers[1]) / (1 - powers[0])
        return weights - first * alpha / (ops.sqrt(second) + EPSILON)

    def _moved_at_once(self, weights: Any, gradient: Any, rate: Any, momenta: list[Any], powers: list[Any]) -> Any:
        """The same by TensorFlow's kernel."""
        import tensorflow as tf  # late: another backend must not load it

        self._weights.assign(weights)
        variables = (self._weights, self._momentum.value, self._velocity.value)
        tf.raw_ops.ResourceApplyAdam(
            **{name: each.handle for name, each in zip(("var", "m", "v"), variables, strict=True)},
            beta1_power=powers[0],
            beta2_power=powers[1],
            lr=rate,
            beta1=momenta[0],
            beta2=momenta[1],
            epsilon=EPSILON,
            grad=gradient,
        )
        return self._weights.read_value()


def _shared(numbers: list[int], variables: list[keras.Variable]) -> list[list[int]]:
    """The numbers of variables in `CHAINS` groups of about as many weights."""
    weights = np.cumsum([int(ops.size(variables[number])) for number in numbers])
    group = (CHAINS * (weights - 1)) // max(1, weights[-1]) if numbers else weights
    return [[number for number, each in zip(numbers, group, strict=True) if each == n] for n in range(CHAINS)]


def _times(gradient: Any, scale: Any) -> Any:
    """The gradient times a scale; zeros where that is 0, whatever the gradient is."""
    if on_tensorflow():
        import tensorflow as tf  # late: another backend must not load it

        return tf.math.multiply_no_nan(gradient, scale)
    return ops.where(scale == 0, 0.0, gradient * scale)


def _joined(arrays: list[Any]) -> Any:
    return ops.concatenate([ops.reshape(each, (-1,)) for each in arrays])


def _scratch(length: int) -> Any:
    """What the kernel works on; no state, so no variable of the optimiser."""
    import tensorflow as tf  # late: another backend must not load it

    return tf.Variable(tf.zeros(length), trainable=False)
