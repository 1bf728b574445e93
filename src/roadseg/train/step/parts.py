"""Buffers of some of a model's variables, end to end, and how AdamW moves them in a few operations.

On TensorFlow one fused kernel moves all weights; elsewhere the compiler makes one of the sums below.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from roadseg.train.models.fast import on_tensorflow
from roadseg.train.params import CHAINS

BETA_1, EPSILON = 0.9, 1e-7


@dataclass(frozen=True)
class Move:
    """What all variables of a step share, as scalars of the backend.

    Attributes:
        number: of the step, from 0.
        stepped: whether weights move; else rate is 0 and the momenta are 1, which changes nothing to the bit.
        rate: the learning rate.
        momenta: of the mean and of the mean square of the gradients.
        powers: both to the power of the steps so far, for the means' bias.
        average: momentum of the averaged weights.
    """

    number: Any
    stepped: Any
    rate: Any
    momenta: tuple[Any, Any]
    powers: tuple[Any, Any]
    average: Any


class Part(ABC):
    """Some of the variables, end to end, and their buffers, float32 (P,)."""

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        variables: list[keras.Variable],
        name: str,
        numbers: list[int],
        *,
        decay: float,
        accumulate: int,
        slower: bool,
    ) -> None:
        """Make the buffers.

        Args:
            optimizer: whose variables they are.
            variables: all of the model.
            name: of the part.
            numbers: of its variables.
            decay: of the weights.
            accumulate: batches in a step.
            slower: whether it moves at its own share of the rate.
        """
        self._optimizer, self._name, self._numbers = optimizer, name, numbers
        self._decay, self._accumulate, self.slower = decay, accumulate, slower
        self._variables = [variables[number] for number in numbers]
        ends = np.cumsum([int(ops.size(variable)) for variable in self._variables])
        self._size, self._cuts = int(ends[-1]), [int(end) for end in ends[:-1]]
        self._momentum, self.average = self._buffer("momentum"), self._buffer("average")
        self._sum: Any = self._buffer("sum") if accumulate > 1 else None

    def _buffer(self, kind: str) -> keras.Variable:
        return self._optimizer.add_variable((self._size,), name=f"{self._name}_{kind}")

    def flat(self, arrays: list[Any]) -> Any:
        """This part of what stands in the order of all variables, end to end."""
        return joined([ops.cast(arrays[number], "float32") for number in self._numbers])

    def gathered(self, gradient: Any, finite: Any, stepped: Any) -> Any:
        """The mean gradient of the step's batches so far."""
        total = self._sum + ops.where(finite, gradient, 0.0)
        self._sum.assign(ops.where(stepped, ops.zeros_like(total), total))
        return total / self._accumulate

    def move(self, gradient: Any, move: Move) -> None:
        """Decay the weights, move them by a gradient, and their averages after them."""
        weights = joined(self._variables)
        if self._decay:
            weights = weights * (1 - move.rate * self._decay)
        moved = self._moved(weights, gradient, move)
        self.average.assign_add((moved - self.average) * (1 - move.average))
        self.scatter(moved)

    @abstractmethod
    def _moved(self, weights: Any, gradient: Any, move: Move) -> Any:
        """The weights after the step, decayed before it."""

    def pieces(self, flat: Any) -> list[Any]:
        """What stands end to end, cut at the variables."""
        return list(ops.split(flat, self._cuts)) if self._cuts else [flat]

    def scatter(self, weights: Any) -> None:
        """Give the variables what `weights` holds of each."""
        for variable, piece in zip(self._variables, self.pieces(weights), strict=True):
            variable.assign(ops.reshape(piece, variable.shape))


class AdamWPart(Part):
    """Moves as AdamW does."""

    def __init__(self, *own: Any, **shared: Any) -> None:
        """See `Part`."""
        super().__init__(*own, **shared)
        self._velocity = self._buffer("velocity")
        self._weights: Any = _scratch(self._size) if on_tensorflow() else None

    def _moved(self, weights: Any, gradient: Any, move: Move) -> Any:
        if self._weights is not None:
            return self._moved_at_once(weights, gradient, move)
        first, second = self._momentum, self._velocity
        first.assign(first + (gradient - first) * (1 - move.momenta[0]))
        second.assign(second + (ops.square(gradient) - second) * (1 - move.momenta[1]))
        alpha = move.rate * ops.sqrt(1 - move.powers[1]) / (1 - move.powers[0])
        return weights - first * alpha / (ops.sqrt(second) + EPSILON)

    def _moved_at_once(self, weights: Any, gradient: Any, move: Move) -> Any:
        """The same by TensorFlow's kernel."""
        import tensorflow as tf  # late: another backend must not load it

        self._weights.assign(weights)
        variables = (self._weights, self._momentum.value, self._velocity.value)
        tf.raw_ops.ResourceApplyAdam(
            **{name: each.handle for name, each in zip(("var", "m", "v"), variables, strict=True)},
            beta1_power=move.powers[0],
            beta2_power=move.powers[1],
            lr=move.rate,
            beta1=move.momenta[0],
            beta2=move.momenta[1],
            epsilon=EPSILON,
            grad=gradient,
        )
        return self._weights.read_value()


def in_chains(numbers: list[int], variables: list[keras.Variable]) -> list[list[int]]:
    """The numbers of variables in up to `CHAINS` groups of about as many weights."""
    if not numbers:
        return []
    weights = np.cumsum([int(ops.size(variables[number])) for number in numbers])
    group = (CHAINS * (weights - 1)) // max(1, weights[-1])
    groups = [[number for number, each in zip(numbers, group, strict=True) if each == n] for n in range(CHAINS)]
    return [each for each in groups if each]


def joined(arrays: list[Any]) -> Any:
    """Arrays end to end."""
    return ops.concatenate([ops.reshape(each, (-1,)) for each in arrays])


def _scratch(length: int) -> Any:
    """What the kernel works on; no state, so no variable of the optimiser."""
    import tensorflow as tf  # late: another backend must not load it

    return tf.Variable(tf.zeros(length), trainable=False)
