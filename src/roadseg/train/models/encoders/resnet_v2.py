"""ResNet50V2: bottlenecks whose normalisation and activation come first.

Source: He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016; layers are named as in keras.applications.
"""

from dataclasses import dataclass

import keras
from keras import layers

from roadseg.train.models.encoders.parts import activated, normalised, symmetric_colours

EPSILON = 1.001e-5


@dataclass(frozen=True)
class ResNetV2:
    """Filters of the stem, and filters inside and blocks of each stack."""

    stem: int = 64
    stacks: tuple[tuple[int, int], ...] = ((64, 3), (128, 4), (256, 6), (512, 3))

    @property
    def levels(self) -> dict[int, str]:
        """By stride, the layer whose output is the last of that size: a stack's last block halves, but the last's."""
        ends = {4 << place: f"conv{place + 2}_block{count}_preact_relu" for place, (_, count) in enumerate(self.stacks)}
        return {2: "conv1_conv", **dict(list(ends.items())[:-1]), 2 << len(self.stacks): "post_relu"}

    def build(self, image: keras.KerasTensor) -> keras.KerasTensor:
        """Build the layers on uint8 (N, H, W, 3); the last one's output."""
        x = layers.ZeroPadding2D(3, name="conv1_pad")(symmetric_colours(image))
        x = layers.Conv2D(self.stem, 7, 2, name="conv1_conv")(x)
        x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
        x = layers.MaxPooling2D(3, 2, name="pool1_pool")(x)
        for place, (filters, count) in enumerate(self.stacks):
            for number in range(1, count + 1):
                halves = number == count and place < len(self.stacks) - 1
                x = _block(x, filters, 2 if halves else 1, number == 1, f"conv{place + 2}_block{number}")
        return activated(normalised(x, "post_bn", EPSILON), "relu", "post_relu")


def _block(x: keras.KerasTensor, filters: int, stride: int, widens: bool, name: str) -> keras.KerasTensor:
    first = activated(normalised(x, f"{name}_preact_bn", EPSILON), "relu", f"{name}_preact_relu")
    if widens:
        shortcut = layers.Conv2D(4 * filters, 1, stride, name=f"{name}_0_conv")(first)
    else:
        shortcut = layers.MaxPooling2D(1, stride, name=f"{name}_shortcut")(x) if stride > 1 else x
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_1_conv")(first)
    x = activated(normalised(x, f"{name}_1_bn", EPSILON), "relu", f"{name}_1_relu")
    x = layers.ZeroPadding2D(1, name=f"{name}_2_pad")(x)
    x = layers.Conv2D(filters, 3, stride, use_bias=False, name=f"{name}_2_conv")(x)
    x = activated(normalised(x, f"{name}_2_bn", EPSILON), "relu", f"{name}_2_relu")
    x = layers.Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x)
    return layers.Add(name=f"{name}_out")([shortcut, x])
