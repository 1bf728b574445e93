"""An encoder computes what keras.applications computes with the same weights, level by level."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.applications import convnext, efficientnet_v2, resnet
from narrow_mobilenet import narrow_mobilenet, randomised
from narrow_models import ENCODER_LAYERS, images

from roadseg.pretrained.bring import APPLICATIONS
from roadseg.pretrained.convert import of_keras
from roadseg.train.models.encoders.known import ENCODERS, Encoder, Layers
from roadseg.train.models.encoders.resnet_v2 import ResNetV2
from roadseg.train.models.pretrained_unet import encoder_model

SHAPE = (None, None, 3)


def narrow_efficientnet() -> keras.Model:
    keys = ("conv_type", "strides", "expand_ratio", "output_filters", "num_repeat")
    blocks, before = [], 8
    for stage in ENCODER_LAYERS["efficientnetv2b0"].stages:  # type: ignore[attr-defined]
        about = dict(zip(keys, stage, strict=True)) | {"input_filters": before, "kernel_size": 3}
        blocks.append(about | {"se_ratio": 0 if about["conv_type"] else 0.25, "conv_type": int(about["conv_type"])})
        before = about["output_filters"]
    return efficientnet_v2.EfficientNetV2(
        1.0, 1.0, 224, blocks_args=blocks, include_top=False, weights=None, input_shape=SHAPE, name="narrow-b0"
    )


def narrow_resnet() -> keras.Model:
    def stack(x: Any) -> Any:
        for place, (filters, count) in enumerate(ENCODER_LAYERS["resnet50v2"].stacks):  # type: ignore[attr-defined]
            stride = 1 if place == 3 else 2
            x = resnet.stack_residual_blocks_v2(x, filters, count, stride, name=f"conv{place + 2}")
        return x

    return resnet.ResNet(stack, True, True, weights_name="x", include_top=False, weights=None, input_shape=SHAPE)


def narrow_convnext() -> keras.Model:
    filters, depths = zip(*ENCODER_LAYERS["convnext"].stages, strict=True)  # type: ignore[attr-defined]
    about = {"include_top": False, "weights": None, "input_shape": SHAPE, "name": "convnext_tiny"}
    return convnext.ConvNeXt(list(depths), list(filters), **about)


def filled(layers: Layers, theirs: keras.Model) -> keras.Model:
    """Our encoder with the other's weights."""
    ours = encoder_model(Encoder("", layers, "", 0, "", "", ""))
    found = of_keras(layers, theirs, {weight.path: tuple(weight.shape) for weight in ours.weights})
    for weight in ours.weights:
        weight.assign(found[weight.path])
    return ours


def level(theirs: keras.Model, name: str) -> keras.KerasTensor:
    """The output that our layer of a name has there; in ConvNeXt they begin parts with names of their own, or none."""
    if name == "final_layernorm":
        return theirs.output
    if "downsampling_layernorm" in name:
        part = theirs.get_layer(name.replace("layernorm", "block"))
        return part.layers[0](part._inbound_nodes[-1].input_tensors[0])
    return theirs.get_layer(name).output


def check(layers: Layers, theirs: keras.Model) -> None:
    ours = filled(layers, randomised(theirs))
    known = {n: level(theirs, name) for n, (_, name) in enumerate(sorted(layers.levels.items()))}
    pixels = images(64, 96)
    shown = (pixels / 127.5 - 1 if isinstance(layers, ResNetV2) else pixels).astype(np.float32)
    expected = keras.Model(theirs.input, {str(n): each for n, each in known.items()}).predict_on_batch(shown)
    found = ours.predict_on_batch(pixels)
    for place, features in expected.items():
        np.testing.assert_allclose(found[int(place)], features, atol=1e-4 * np.abs(features).max(), rtol=0)


# with the filters that stems have there
MAKERS: dict[str, tuple[Callable[[], keras.Model], dict[str, int]]] = {
    "efficientnetv2b0": (narrow_efficientnet, {}),
    "mobilenetv3": (narrow_mobilenet, {"stem": 16}),
    "resnet50v2": (narrow_resnet, {"stem": 64}),
    "convnext": (narrow_convnext, {}),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_narrow_encoder_computes_what_keras_own_does(name: str) -> None:
    make, stem = MAKERS[name]
    check(replace(ENCODER_LAYERS[name], **stem), make())  # type: ignore[type-var]


@pytest.mark.soak
@pytest.mark.parametrize("name", APPLICATIONS)
def test_each_encoder_computes_what_keras_own_does(name: str) -> None:
    make = getattr(keras.applications, APPLICATIONS[name][0])
    check(ENCODERS[name].layers, make(include_top=False, weights=None, input_shape=SHAPE))
