"""The models there are, by the name that params.yaml uses."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import keras

from roadseg.train.models import small, tutorial


@dataclass(frozen=True)
class Architecture:
    """What training and serving must know of a model.

    Attributes:
        build: number of classes to a model from uint8 (N, H, W, 3) to (N, H / reduction, W / reduction, K).
        stride: height and width must be multiples of it.
        reduction: of the training output against the input.
        output: what the last axis holds.
    """

    build: Callable[[int], keras.Model]
    stride: int
    reduction: int
    output: Literal["logits", "probabilities"]


MODELS = {
    "small": Architecture(small.build, small.STRIDE, 2, "logits"),
    "tutorial": Architecture(tutorial.build, tutorial.STRIDE, 1, "probabilities"),
}
