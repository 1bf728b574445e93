"""ConvNeXt-Tiny: 7x7 depthwise kernels, normalisation of each place by itself, GELU.

Its layer scale is a factor of the convolution before it, and lies in that one's kernel. It has no level at stride 2.

Source: Liu et al., "A ConvNet for the 2020s", CVPR 2022; layers are named as in keras.applications.
"""

from dataclasses import dataclass

import keras
from keras import layers

from roadseg.train.models.encoders.parts import by_channel, imagenet_colours

EPSILON = 1e-6
NAME = "convnext_tiny"


@dataclass(frozen=True)
class ConvNeXt:
    """Filters and blocks of each stage."""

    stages: tuple[tuple[int, int], ...] = ((96, 3), (192, 3), (384, 9), (768, 3))

    @property
    def levels(self) -> dict[int, str]:
        """By stride, the normalised output of each stage."""
        last = len(self.stages) - 1
        names = [f"{NAME}_downsampling_layernorm_{place}" for place in range(last)] + ["final_layernorm"]
        return {4 << place: name for place, name in enumerate(names)}

    def build(self, image: keras.KerasTensor) -> keras.KerasTensor:
        """Build the layers on uint8 (N, H, W, 3); the last one's output."""
        x = imagenet_colours(image)
        for place, (filters, count) in enumerate(self.stages):
            if place == 0:
                x = layers.Conv2D(filters, 4, 4, name=f"{NAME}_stem_conv")(x)
                x = _normalised(x, f"{NAME}_stem_layernorm")
            else:
                x = _normalised(x, f"{NAME}_downsampling_layernorm_{place - 1}")
                x = layers.Conv2D(filters, 2, 2, name=f"{NAME}_downsampling_conv_{place - 1}")(x)
            for number in range(count):
                x = _block(x, filters, f"{NAME}_stage_{place}_block_{number}")
        return _normalised(x, "final_layernorm")


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.LayerNormalization(epsilon=EPSILON, name=name)(x)


def _block(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    given = x
    x = by_channel(x, 7, 1, f"{name}_depthwise_conv", bias=True)
    x = _normalised(x, f"{name}_layernorm")
    x = layers.Conv2D(4 * filters, 1, name=f"{name}_pointwise_conv_1")(x)
    x = layers.Activation("gelu", name=f"{name}_gelu")(x)
    x = layers.Conv2D(filters, 1, name=f"{name}_pointwise_conv_2")(x)
    return layers.Add(name=f"{name}_out")([given, x])
