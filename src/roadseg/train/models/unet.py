"""The family `small`, `base`, `large`: residual U-Nets with a light decoder, made for the most mIoU per minute.

Strided stages see context cheaply, a global average adds the scene's, and the decoder adds (not concatenates) 1x1
laterals and is narrow where the grid is large, so that it costs little. All is ReLU, dense convolution and batch
normalisation: what a CPU and a tensor core are fast at, and what `deploy` folds away.
"""

from dataclasses import dataclass
from math import ceil
from typing import Literal

import keras
from keras import layers

from roadseg.train.models.fast import Doubling, FusedNormalization

REDUCTION = 2  # of the logits against the image
WIDTH = 16  # what vector units take at once: with 24 channels oneDNN's normalisation takes its slow reference code


def conv(x: keras.KerasTensor, filters: int, size: int, stride: int, name: str) -> keras.KerasTensor:
    """Convolution, normalisation, ReLU."""
    return layers.ReLU(name=f"{name}_relu")(conv_norm(x, filters, size, stride, name))


def conv_norm(
    x: keras.KerasTensor, filters: int, size: int, stride: int, name: str, gamma: str = "ones"
) -> keras.KerasTensor:
    """Convolution and normalisation, whose scale starts at `gamma`."""
    x = layers.Conv2D(filters, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name)(
        x
    )
    return FusedNormalization(momentum=0.97, gamma_initializer=gamma, name=f"{name}_norm")(x)


def residual(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    """Two 3x3 convolutions added to what came in; starts as the identity."""
    y = conv(x, filters, 3, 1, f"{name}_a")
    y = conv_norm(y, filters, 3, 1, f"{name}_b", gamma="zeros")
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))


def global_context(x: keras.KerasTensor, deepest: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    """Add what the whole picture shows to every place of it."""
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="scene_mean")(deepest)
    return layers.Add(name="scene_add")([x, layers.Conv2D(filters, 1, name="scene")(mean)])


def up_sampling_block(
    x: keras.KerasTensor, level: keras.KerasTensor, filters: int, up: str, name: str
) -> keras.KerasTensor:
    """Twice the size, the encoder's features of that size added, and mixed."""
    if x.shape[-1] != filters:  # before it is enlarged: a quarter of the work
        x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_narrow")(x)
    x = Doubling(interpolation=up, name=name)(x)
    lateral = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_lateral")(level)
    return conv(layers.Add(name=f"{name}_add")([x, lateral]), filters, 3, 1, f"{name}_mix")


@dataclass(frozen=True)
class Config:
    """What tells one size from another.

    Attributes:
        stem: filters of the first convolution, at half size.
        stages: filters and residual blocks of each; each halves the size.
        decoder: filters of each level of the way up, from half size downward, one for each stage.
        dropout: share of the decoder's channels left out before the logits, in training.
        up: how the decoder enlarges.
    """

    stem: int
    stages: tuple[tuple[int, int], ...]
    decoder: tuple[int, ...]
    dropout: float
    up: Literal["bilinear", "nearest"]

    @property
    def stride(self) -> int:
        """Height and width of an image must be multiples of it."""
        return int(2 << len(self.stages))


@dataclass(frozen=True)
class Decoder:
    """The way up.

    Attributes:
        widths: filters of each level, from half size downward.
        dropout: share of the channels left out before the logits, in training.
        up: how it enlarges.
    """

    widths: tuple[int, ...]
    dropout: float
    up: Literal["bilinear", "nearest"]


def build(config: Config, name: str, classes: int) -> keras.Model:
    """Build a U-Net.

    Args:
        config: its size.
        name: of the model.
        classes: number of classes K, void not among them.

    Returns:
        A model from uint8 (N, H, W, 3) to float32 logits (N, H / 2, W / 2, K); H and W are multiples of the stride.
        Training compares them with every second mask pixel; the bundle adds the bilinear step to full size.
    """
    image = keras.Input((None, None, 3), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 64, offset=-2.0, name="to_about_unit_variance")(image)
    levels = [conv(x, config.stem, 3, 2, "stem")]
    for number, (filters, blocks) in enumerate(config.stages):
        x = conv(levels[-1], filters, 3, 2, f"stage{number}_down")
        for block in range(blocks):
            x = residual(x, filters, f"stage{number}_block{block}")
        levels.append(x)
    return decoded(image, levels, Decoder(config.decoder, config.dropout, config.up), name, classes)


def decoded(
    image: keras.KerasTensor, levels: list[keras.KerasTensor], decoder: Decoder, name: str, classes: int
) -> keras.Model:
    """The way up from an encoder's features to logits.

    Args:
        image: the input.
        levels: features, each of half the size of the one before; the first has half the image's.
        decoder: its size.
        name: of the model.
        classes: number of classes K.
    """
    # fewer than the classes could not tell them apart
    widths = [max(filters, WIDTH * ceil(classes / WIDTH)) for filters in decoder.widths]
    x = global_context(conv(levels[-1], widths[-1], 1, 1, "neck"), levels[-1], widths[-1])
    for number, (level, filters) in reversed(list(enumerate(zip(levels[:-1], widths, strict=True)))):
        x = up_sampling_block(x, level, filters, decoder.up, f"up{number}")
    if decoder.dropout:
        x = layers.SpatialDropout2D(decoder.dropout, name="dropout")(x)
    x = layers.Conv2D(classes, 1, dtype="float32", name="logits")(x)
    return keras.Model(image, x, name=name)


SIZES = {
    "small": Config(stem=32, stages=((48, 1), (96, 2), (192, 2)), decoder=(32, 48, 48), dropout=0.0, up="bilinear"),
    "base": Config(stem=32, stages=((64, 1), (128, 2), (256, 2)), decoder=(32, 64, 64), dropout=0.1, up="bilinear"),
    # for a GPU
    "large": Config(
        stem=64, stages=((128, 2), (256, 4), (512, 3)), decoder=(128, 128, 128), dropout=0.1, up="bilinear"
    ),
}
