"""EfficientNetV2-B0 to B3: dense kernels where the grid is large, depthwise ones with squeeze and excite behind.

Source: Tan and Le, "EfficientNetV2", ICML 2021; layers are named as in keras.applications.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import keras
from keras import layers

from roadseg.train.models.encoders.parts import (
    activated,
    deeper,
    imagenet_colours,
    inverted_bottleneck,
    normalised,
    pointwise,
    wider,
)

STEM, SQUEEZE = 32, 0.25
Stage = tuple[bool, int, int, int, int]  # whether its kernels are dense, stride, expansion, filters, blocks
STAGES: tuple[Stage, ...] = (
    (True, 1, 1, 16, 1),
    (True, 2, 4, 32, 2),
    (True, 2, 4, 48, 2),
    (False, 2, 4, 96, 3),
    (False, 1, 6, 112, 5),
)
STAGES += ((False, 2, 6, 192, 8),)


@dataclass(frozen=True)
class Block:
    """One block: its name, whether its kernels are dense, and its arguments."""

    name: str
    dense: bool
    filters: int
    stride: int
    expand: int


@dataclass(frozen=True)
class V2:
    """A size: factors of width and depth, and the stages that they apply to."""

    width: float = 1.0
    depth: float = 1.0
    stages: tuple[Stage, ...] = STAGES
    stem: int = STEM

    def blocks(self) -> Iterator[Block]:
        """Every block, in order."""
        for stage, (dense, stride, expand, filters, count) in enumerate(self.stages, 1):
            for number in range(deeper(count, self.depth)):
                name = f"block{stage}{chr(ord('a') + number)}_"
                yield Block(name, dense, wider(filters, self.width), 1 if number else stride, expand)

    @property
    def levels(self) -> dict[int, str]:
        """By stride, the layer whose output is the last of that size."""
        stride, before, found = 2, wider(self.stem, self.width), {}
        for block in self.blocks():
            stride *= block.stride
            last = "project_activation" if block.dense and block.expand == 1 else "project_bn"
            kept = block.stride == 1 and block.filters == before
            found[stride], before = f"{block.name}{'add' if kept else last}", block.filters
        return found

    def build(self, image: keras.KerasTensor) -> keras.KerasTensor:
        """Build the layers on uint8 (N, H, W, 3); the last one's output."""
        x = pointwise(imagenet_colours(image), wider(self.stem, self.width), "stem_conv", 3, 2)
        x = activated(normalised(x, "stem_bn"), "silu", "stem_activation")
        for block in self.blocks():
            if block.dense:
                x = _fused(x, block)
            else:
                x = inverted_bottleneck(x, block.filters, 3, block.stride, block.expand, SQUEEZE, "silu", block.name)
        return x


def _fused(x: keras.KerasTensor, block: Block) -> keras.KerasTensor:
    """Widen by 3x3, narrow by 1x1; one 3x3 where it is not widened."""
    given, channels, name = x, x.shape[-1], block.name
    if block.expand != 1:
        x = pointwise(x, block.expand * channels, f"{name}expand_conv", 3, block.stride)
        x = activated(normalised(x, f"{name}expand_bn"), "silu", f"{name}expand_activation")
        x = normalised(pointwise(x, block.filters, f"{name}project_conv"), f"{name}project_bn")
    else:
        x = normalised(pointwise(x, block.filters, f"{name}project_conv", 3, block.stride), f"{name}project_bn")
        x = activated(x, "silu", f"{name}project_activation")
    kept = block.stride == 1 and channels == block.filters
    return layers.Add(name=f"{name}add")([x, given]) if kept else x
