"""Every model as the contract tests want it: narrow, so with all its layers and few weights."""

from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pytest

from roadseg.train.models import tutorial
from roadseg.train.models.known import MODELS, Architecture, residual_unet
from roadseg.train.models.unet import SIZES, Config

CLASSES = 7


def narrow(config: Config) -> Config:
    """A quarter of the filters."""
    stages = tuple((filters // 4, blocks) for filters, blocks in config.stages)
    return replace(
        config, stem=config.stem // 4, stages=stages, decoder=tuple(filters // 4 for filters in config.decoder)
    )


NARROW = {
    **{name: residual_unet(name, narrow(config)) for name, config in SIZES.items()},
    "tutorial": replace(MODELS["tutorial"], build=partial(tutorial.build, filters=2)),
}
each_model = pytest.mark.parametrize("name", MODELS)


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
