"""The models there are, by the name that params.yaml uses."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import keras

from roadseg.train.models import pretrained_unet, tutorial, unet
from roadseg.train.models.encoders.known import ENCODERS, Encoder


@dataclass(frozen=True)
class Architecture:
    """What training and serving must know of a model.

    Attributes:
        build: number of classes to a model from uint8 (N, H, W, 3) to (N, H / reduction, W / reduction, K).
        stride: height and width must be multiples of it.
        reduction: of the training output against the input.
        output: what the last axis holds.
        encoder: the part for which there are pretrained weights, if any.
    """

    build: Callable[[int], keras.Model]
    stride: int
    reduction: int
    output: Literal["logits", "probabilities"]
    encoder: Encoder | None = None


def residual_unet(name: str, config: unet.Config) -> Architecture:
    """The family's U-Net of a given size."""
    return Architecture(partial(unet.build, config, name), config.stride, unet.REDUCTION, "logits")


def encoder_unet(name: str, encoder: Encoder, decoder: unet.Decoder = pretrained_unet.DECODER) -> Architecture:
    """A U-Net around an encoder."""
    build = partial(pretrained_unet.build, encoder, decoder, name)
    return Architecture(build, pretrained_unet.STRIDE, unet.REDUCTION, "logits", encoder)


MODELS = {
    **{name: residual_unet(name, config) for name, config in unet.SIZES.items()},
    "tutorial": Architecture(tutorial.build, tutorial.STRIDE, 1, "probabilities"),
    **{name: encoder_unet(name, encoder) for name, encoder in ENCODERS.items()},
}
