"""MobileNetV3-Large: inverted bottlenecks whose widths and activations were searched for phones.

Source: Howard et al., "Searching for MobileNetV3", ICCV 2019; layers are named as in keras.applications.
"""

from dataclasses import dataclass

import keras
from keras import layers

from roadseg.train.models.encoders.parts import (
    activated,
    depthwise,
    normalised,
    pointwise,
    rescaled_channels,
    symmetric_colours,
)

STEM = 16
Block = tuple[float, int, int, int, bool, str]  # expansion, filters, kernel, stride, whether it squeezes, activation
BLOCKS: tuple[Block, ...] = (
    (1.0, 16, 3, 1, False, "relu"),
    (4.0, 24, 3, 2, False, "relu"),
    (3.0, 24, 3, 1, False, "relu"),
)
BLOCKS += ((3.0, 40, 5, 2, True, "relu"), (3.0, 40, 5, 1, True, "relu"), (3.0, 40, 5, 1, True, "relu"))
BLOCKS += ((6.0, 80, 3, 2, False, "hard_silu"), (2.5, 80, 3, 1, False, "hard_silu"))
BLOCKS += ((2.3, 80, 3, 1, False, "hard_silu"), (2.3, 80, 3, 1, False, "hard_silu"))
BLOCKS += ((6.0, 112, 3, 1, True, "hard_silu"), (6.0, 112, 3, 1, True, "hard_silu"))
BLOCKS += (
    (6.0, 160, 5, 2, True, "hard_silu"),
    (6.0, 160, 5, 1, True, "hard_silu"),
    (6.0, 160, 5, 1, True, "hard_silu"),
)


@dataclass(frozen=True)
class MobileNetV3:
    """Its stem's filters and its blocks."""

    stem: int = STEM
    blocks: tuple[Block, ...] = BLOCKS

    @property
    def levels(self) -> dict[int, str]:
        """By stride, the layer whose output is the last of that size."""
        stride, before, found = 2, self.stem, {}
        for number, (_, filters, _, step, _, _) in enumerate(self.blocks):
            stride *= step
            last = "add" if step == 1 and filters == before else "project_bn"
            found[stride], before = f"{_prefix(number)}{last}", filters
        return found

    def build(self, image: keras.KerasTensor) -> keras.KerasTensor:
        """Build the layers on uint8 (N, H, W, 3); the last one's output."""
        x = pointwise(symmetric_colours(image), self.stem, "conv", 3, 2)
        x = activated(normalised(x, "conv_bn"), "hard_silu", "conv_activation")
        for number, block in enumerate(self.blocks):
            x = _block(x, number, *block)
        return x


def _prefix(number: int) -> str:
    return f"expanded_conv_{number}_" if number else "expanded_conv_"


def _block(
    x: keras.KerasTensor, number: int, expand: float, filters: int, size: int, stride: int, squeezes: bool, kind: str
) -> keras.KerasTensor:
    given, channels, name = x, x.shape[-1], _prefix(number)
    if number:
        x = pointwise(x, _divisible(expand * channels), f"{name}expand")
        x = activated(normalised(x, f"{name}expand_bn"), kind, f"{name}expand_activation")
    x = depthwise(x, size, stride, f"{name}depthwise")
    x = activated(normalised(x, f"{name}depthwise_bn"), kind, f"{name}depthwise_activation")
    if squeezes:
        parts = ("avg_pool", "conv", "conv_1", "mul")
        names = tuple(f"{name}squeeze_excite_{part}" for part in parts)
        x = rescaled_channels(x, _divisible(x.shape[-1] / 4), names, ("relu", "hard_sigmoid"))  # type: ignore[arg-type]
    x = normalised(pointwise(x, filters, f"{name}project"), f"{name}project_bn")
    return layers.Add(name=f"{name}add")([x, given]) if stride == 1 and channels == filters else x


def _divisible(filters: float) -> int:
    """The nearest multiple of 8 that is no more than a tenth below."""
    found = max(8, int(filters + 4) // 8 * 8)
    return found + 8 * (found < 0.9 * filters)
