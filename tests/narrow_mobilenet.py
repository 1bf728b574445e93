"""Keras' own MobileNetV3 with the blocks of the narrow encoder, and weights for it."""

from typing import Any

import keras
import numpy as np
from keras.src.applications import mobilenet_v3
from narrow_models import ENCODER_LAYERS

SHAPE = (None, None, 3)


def narrow_mobilenet(weights: Any = None, include_top: bool = False, input_shape: Any = SHAPE) -> keras.Model:
    """Of the blocks the kernels, filters and activations; the stem has 16 filters there."""
    kinds = {"relu": mobilenet_v3.relu, "hard_silu": mobilenet_v3.hard_swish}

    def stack(x: Any, *_: Any) -> Any:
        blocks = ENCODER_LAYERS["mobilenetv3"].blocks  # type: ignore[attr-defined]
        for number, (expand, filters, size, stride, squeezes, kind) in enumerate(blocks):
            squeeze = 0.25 if squeezes else None
            x = mobilenet_v3._inverted_res_block(x, expand, filters, size, stride, squeeze, kinds[kind], number)
        return x

    about = {"include_top": include_top, "weights": weights, "input_shape": input_shape}
    return mobilenet_v3.MobileNetV3(stack, 1280, model_type="large", **about)


def randomised(model: keras.Model) -> keras.Model:
    """Every weight at random, also those that start at 0 or 1."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        positive = weight.path.rpartition("/")[2] in ("gamma", "moving_variance", "variable")
        weight.assign(rng.uniform(0.7, 1.3, weight.shape) if positive else rng.normal(0, 0.2, weight.shape))
    return model
