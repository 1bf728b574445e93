"""Gradients of several batches in one step of the optimiser: a larger batch where the memory holds a smaller one.

Keras' optimisers do it, but Keras 3.15 moves the schedule and the averaged weights with each batch; here they move with
each step, so that a batch of 4 accumulated twice trains as a batch of 8 does.
"""

from typing import Any

import keras
from keras import ops


def adamw(
    schedule: keras.optimizers.schedules.LearningRateSchedule, accumulate: int, **options: Any
) -> keras.Optimizer:
    """An AdamW that steps once in so many batches.

    Args:
        schedule: of the learning rate, by step.
        accumulate: batches whose mean gradient makes a step; 1 is Keras' own AdamW.
        options: of `keras.optimizers.AdamW`.
    """
    if accumulate == 1:
        return keras.optimizers.AdamW(schedule, **options)
    return AccumulatingAdamW(BySteps(schedule, accumulate), gradient_accumulation_steps=accumulate, **options)


class BySteps(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras ships no types
    """A schedule by step that is asked by batch."""

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, accumulate: int) -> None:
        """Take a schedule by step and the batches in a step."""
        self._schedule, self._accumulate = schedule, accumulate

    def __call__(self, batch: Any) -> Any:
        """The learning rate in a batch, counted from 0."""
        return self._schedule(ops.floor_divide(batch, self._accumulate))


class AccumulatingAdamW(keras.optimizers.AdamW):  # type: ignore[misc]  # Keras ships no types
    """AdamW whose averaged weights follow each step, not each batch."""

    ema_momentum: Any

    def _update_model_variables_moving_average(self, trainable_variables: list[keras.Variable]) -> None:
        stepped = ops.equal(ops.mod(self._iterations + 1, self.gradient_accumulation_steps), 0)
        momentum = self.ema_momentum
        self.ema_momentum = ops.where(stepped, momentum, 1.0)  # 1 leaves an average as it is
        super()._update_model_variables_moving_average(trainable_variables)
        self.ema_momentum = momentum
