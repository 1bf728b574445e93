"""Every model as the contract tests want it: narrow, so with all its layers and few weights."""

from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pytest

from roadseg.train.models import tutorial
from roadseg.train.models.encoders.convnext import ConvNeXt
from roadseg.train.models.encoders.efficientnet_lite import Lite
from roadseg.train.models.encoders.efficientnet_v2 import V2
from roadseg.train.models.encoders.known import ENCODERS, Layers
from roadseg.train.models.encoders.mobilenet_v3 import MobileNetV3
from roadseg.train.models.encoders.resnet_v2 import ResNetV2
from roadseg.train.models.known import MODELS, Architecture, encoder_unet, residual_unet
from roadseg.train.models.unet import SIZES, Config, Decoder

CLASSES = 7


def narrow(config: Config) -> Config:
    """A quarter of the filters."""
    stages = tuple((filters // 4, blocks) for filters, blocks in config.stages)
    return replace(
        config, stem=config.stem // 4, stages=stages, decoder=tuple(filters // 4 for filters in config.decoder)
    )


DECODER = Decoder(widths=(8, 8, 8, 8), dropout=0.1, up="bilinear")
ENCODER_LAYERS: dict[str, Layers] = {  # one of each kind, with every sort of block
    "lite0": Lite(
        stages=((3, 1, 1, 8, 1), (3, 2, 2, 8, 2), (5, 2, 2, 8, 1), (3, 2, 2, 16, 1), (3, 2, 2, 16, 1)), stem=8
    ),
    "efficientnetv2b0": V2(
        stages=((True, 1, 1, 8, 1), (True, 2, 2, 8, 2), (True, 2, 2, 8, 1), (False, 2, 2, 8, 2), (False, 2, 2, 16, 1)),
        stem=8,
    ),
    "mobilenetv3": MobileNetV3(
        8,
        ((1.0, 8, 3, 1, False, "relu"), (2.0, 8, 3, 2, False, "relu"), (2.0, 8, 5, 2, True, "relu"))
        + ((2.0, 8, 3, 2, False, "hard_silu"), (2.0, 16, 5, 2, True, "hard_silu")),
    ),
    "resnet50v2": ResNetV2(stem=8, stacks=((4, 2), (4, 2), (4, 2), (4, 2))),
    "convnext": ConvNeXt(stages=((8, 1), (8, 1), (8, 1), (16, 1))),
}


def narrow_encoder(name: str) -> Architecture:
    return encoder_unet(name, replace(ENCODERS[name], layers=ENCODER_LAYERS[name]), DECODER)


NARROW = {
    **{name: residual_unet(name, narrow(config)) for name, config in SIZES.items()},
    "tutorial": replace(MODELS["tutorial"], build=partial(tutorial.build, filters=2)),
    **{name: narrow_encoder(name) for name in ENCODER_LAYERS},
}
each_model = pytest.mark.parametrize("name", NARROW)
# of the encoders two, which have all sorts of layers that learn; the others take minutes
AT_LENGTH = set(ENCODER_LAYERS) - {"lite0", "convnext"}
each_trained = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.soak] if name in AT_LENGTH else []) for name in NARROW]
)


def images(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (2, height, width, 3), np.uint8)


def predict(model: keras.Model, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(model.predict_on_batch(pixels))


def settled(architecture: Architecture, classes: int = CLASSES) -> keras.Model:
    """A model as after a training: statistics of real features, and no scale, shift or bias where it started."""
    model, rng = architecture.build(classes), np.random.default_rng(0)
    for weight in model.weights:
        if not weight.path.endswith("kernel"):
            weight.assign(rng.uniform(0.3, 0.9, weight.shape))
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # the averages become this batch's
    model(images(2 * architecture.stride, 4 * architecture.stride), training=True)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    return model
