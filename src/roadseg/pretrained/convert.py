"""Weights of an encoder from how others store them to the variables of ours; float32, by path."""

from typing import Any

import numpy as np

from roadseg.contracts.weights import Arrays
from roadseg.train.models.encoders.convnext import ConvNeXt
from roadseg.train.models.encoders.efficientnet_lite import Lite
from roadseg.train.models.encoders.known import Layers

NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def of_lite(lite: Lite, tensors: dict[str, np.ndarray]) -> Arrays:
    """EfficientNet-Lite from PyTorch's names and axes; its classifier is left out.

    Args:
        lite: the size.
        tensors: kernels (out, in, y, x), depthwise ones (C, 1, y, x); by PyTorch's names.

    Raises:
        KeyError: a tensor is missing.
    """
    found: Arrays = {}

    def take(layer: str, kernel: str, norm_layer: str, norm: str) -> None:
        axes = (2, 3, 0, 1) if "depthwise" in kernel else (2, 3, 1, 0)
        found[f"{layer}/kernel"] = np.transpose(tensors[f"{kernel}.weight"], axes)
        for ours, theirs in NORM.items():
            found[f"{norm_layer}/{ours}"] = tensors[f"{norm}.{theirs}"]

    take("stem_conv", "_conv_stem", "stem_bn", "_bn0")
    for number, block in enumerate(lite.blocks()):
        name, theirs = block.name, f"_blocks.{number}."
        if block.expand != 1:
            take(f"{name}expand_conv", f"{theirs}_expand_conv", f"{name}expand_bn", f"{theirs}_bn0")
        take(f"{name}dwconv2", f"{theirs}_depthwise_conv", f"{name}bn", f"{theirs}_bn1")
        take(f"{name}project_conv", f"{theirs}_project_conv", f"{name}project_bn", f"{theirs}_bn2")
    return _plain(found)


def of_keras(layers: Layers, model: Any, wanted: dict[str, tuple[int, ...]]) -> Arrays:
    """An encoder from the model of keras.applications whose layers have the same names.

    Args:
        layers: the encoder.
        model: of keras.applications, with its weights.
        wanted: shapes of the encoder's variables by path.

    Raises:
        KeyError: a layer is missing.
    """
    theirs = {layer.name: layer for layer in model._flatten_layers() if layer.weights}
    if isinstance(layers, ConvNeXt):
        return _of_convnext(theirs, wanted)
    return _plain({path: _variable(theirs[path.rpartition("/")[0]], path) for path in wanted})


def _of_convnext(theirs: dict[str, Any], wanted: dict[str, tuple[int, ...]]) -> Arrays:
    """Its pointwise layers are dense, its depthwise kernels grouped, and its last normalisation has no name."""
    unnamed = [name for name in theirs if name.startswith("layer_normalization")]
    found: Arrays = {}
    for path, shape in wanted.items():
        layer = path.rpartition("/")[0]
        value = _variable(theirs[unnamed[-1] if layer == "final_layernorm" else layer], path)
        scale = theirs.get(layer.removesuffix("_pointwise_conv_2") + "_layer_scale")
        if layer.endswith("_pointwise_conv_2") and scale is not None:
            value = value * np.asarray(scale.weights[0])  # of a kernel its last axis, of a bias its only one
        found[path] = value.reshape(shape)
    return _plain(found)


def _variable(layer: Any, path: str) -> np.ndarray:
    name = path.rpartition("/")[2]
    return np.asarray(next(weight for weight in layer.weights if weight.path.rpartition("/")[2] == name))


def _plain(found: Arrays) -> Arrays:
    return {path: np.asarray(value, np.float32, order="C") for path, value in sorted(found.items())}
