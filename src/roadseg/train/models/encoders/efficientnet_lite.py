"""EfficientNet-Lite: MobileNetV2's blocks, ReLU cut at 6 and no squeeze, made for phones.

Source: Tan and Le, "EfficientNet", ICML 2019, and the variant in tensorflow/tpu, efficientnet/lite.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import keras

from roadseg.train.models.encoders.parts import (
    activated,
    deeper,
    inverted_bottleneck,
    normalised,
    pointwise,
    symmetric_colours,
    wider,
)

STEM = 32  # filters, at any width
Stage = tuple[int, int, int, int, int]  # kernel, stride, expansion, filters, blocks
STAGES: tuple[Stage, ...] = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
)
STAGES += ((3, 1, 6, 320, 1),)


@dataclass(frozen=True)
class Block:
    """One inverted bottleneck: its name, and its arguments."""

    name: str
    filters: int
    size: int
    stride: int
    expand: int


@dataclass(frozen=True)
class Lite:
    """A size: factors of width and depth, and the stages that they apply to."""

    width: float = 1.0
    depth: float = 1.0
    stages: tuple[Stage, ...] = STAGES
    stem: int = STEM

    def blocks(self) -> Iterator[Block]:
        """Every block; they are numbered as in the original's file of weights."""
        number = 0
        for place, (size, stride, expand, filters, count) in enumerate(self.stages):
            ends = place in (0, len(self.stages) - 1)
            for again in range(count if ends else deeper(count, self.depth)):
                name = f"block{number}_"
                yield Block(name, wider(filters, self.width), size, 1 if again else stride, expand)
                number += 1

    @property
    def levels(self) -> dict[int, str]:
        """By stride, the layer whose output is the last of that size."""
        stride, before, found = 2, 0, {}
        for block in self.blocks():
            stride *= block.stride
            kept = block.stride == 1 and block.filters == before
            found[stride], before = f"{block.name}{'add' if kept else 'project_bn'}", block.filters
        return found

    def build(self, image: keras.KerasTensor) -> keras.KerasTensor:
        """Build the layers on uint8 (N, H, W, 3); the last one's output."""
        x = pointwise(symmetric_colours(image, 127.0, 128.0), self.stem, "stem_conv", 3, 2)
        x = activated(normalised(x, "stem_bn"), "relu6", "stem_activation")
        for block in self.blocks():
            x = inverted_bottleneck(x, block.filters, block.size, block.stride, block.expand, 0, "relu6", block.name)
        return x
