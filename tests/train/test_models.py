from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import get_args

import keras
import numpy as np
import pytest

from roadseg.train.models import small, tutorial
from roadseg.train.models.deploy import deploy
from roadseg.train.models.known import MODELS, Architecture
from roadseg.train.stage import TrainParams

CLASSES = 7
NARROW = {"small": MODELS["small"], "tutorial": replace(MODELS["tutorial"], build=partial(tutorial.build, filters=2))}
each_model = pytest.mark.parametrize("name", NARROW)


def conv(inputs: int, filters: int, size: int = 3) -> int:
    return size * size * inputs * filters + filters


def shaken(model: keras.Model, seed: int = 0) -> keras.Model:
    """The model with every weight off its initial value, so that a weight lost on the way shows."""
    rng = np.random.default_rng(seed)
    model.set_weights([weight + 0.1 * rng.random(weight.shape, np.float32) for weight in model.get_weights()])
    return model


def images(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (2, height, width, 3), np.uint8)


def predict(model: keras.Model, pixels: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(pixels, training=False))


def describe(layer: keras.layers.Layer) -> tuple[object, ...]:
    said = layer.get_config()
    match type(layer).__name__:
        case "Conv2D":
            start = said["kernel_initializer"]["class_name"] if said["kernel_size"] == (3, 3) else "any"
            return "conv", said["filters"], said["kernel_size"], said["strides"], said["activation"], start
        case "Conv2DTranspose":
            return "up", said["filters"], said["kernel_size"], said["strides"], said["activation"]
        case "MaxPooling2D":
            return "pool", said["pool_size"], said["strides"]
        case "Dropout":
            return "dropout", said["rate"]
        case "Rescaling":
            return "rescale", said["scale"], said["offset"]
        case other:
            return (other,)


def test_tutorial_is_the_facts_unet_layer_for_layer() -> None:
    def twice(filters: int) -> list[tuple[object, ...]]:
        return [("conv", filters, (3, 3), (1, 1), "relu", "HeNormal")] * 2

    def up(filters: int) -> list[tuple[object, ...]]:
        return [("up", filters, (3, 3), (2, 2), "linear"), ("Concatenate",), ("dropout", 0.3), *twice(filters)]

    expected: list[tuple[object, ...]] = [("InputLayer",), ("rescale", 1 / 255, 0.0)]
    for filters in (64, 128, 256, 512):
        expected += [*twice(filters), ("pool", (2, 2), (2, 2)), ("dropout", 0.3)]
    expected += [*twice(1024), *up(512), *up(256), *up(128), *up(64)]
    expected += [("conv", CLASSES, (1, 1), (1, 1), "softmax", "any")]
    model = tutorial.build(CLASSES)
    assert [describe(layer) for layer in model.layers] == expected
    for depth in range(4):
        deep, skip = model.get_layer(f"decoder{depth}_skip").input
        assert deep is model.get_layer(f"decoder{depth}_up").output
        assert skip is model.get_layer(f"encoder{depth}_b").output


def test_tutorial_has_the_parameters_of_its_description() -> None:
    widths = [3, 64, 128, 256, 512, 1024]
    down = sum(conv(a, b) + conv(b, b) for a, b in pairwise(widths))
    up = sum(conv(2 * f, f) + conv(2 * f, f) + conv(f, f) for f in (512, 256, 128, 64))
    assert tutorial.build(CLASSES).count_params() == down + up + conv(64, CLASSES, size=1) == 34_513_735


def test_small_has_about_two_million_parameters() -> None:
    assert small.build(CLASSES).count_params() == pytest.approx(2e6, rel=0.05)


def test_parameters_offer_the_models_there_are() -> None:
    assert set(get_args(TrainParams.model_fields["model"].annotation)) == set(MODELS)


@each_model
@pytest.mark.parametrize("multiple", [(1, 2), (3, 1)])
def test_a_model_takes_any_multiple_of_its_stride(name: str, multiple: tuple[int, int]) -> None:
    architecture = NARROW[name]
    height, width = (architecture.stride * times for times in multiple)
    scores = predict(architecture.build(CLASSES), images(height, width))
    assert scores.shape == (2, height // architecture.reduction, width // architecture.reduction, CLASSES)
    assert scores.dtype == np.float32
    sums_to_one = np.allclose(scores.sum(-1), 1, atol=1e-5)
    assert sums_to_one == (architecture.output == "probabilities")


@each_model
def test_a_saved_model_computes_what_it_computed(name: str, tmp_path: Path) -> None:
    model = deploy(shaken(NARROW[name].build(CLASSES)), NARROW[name], CLASSES)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(predict(loaded, images(32, 48)), predict(model, images(32, 48)))


@each_model
def test_a_model_is_made_of_named_stock_layers(name: str) -> None:
    first, second = (deploy(NARROW[name].build(CLASSES), NARROW[name], CLASSES) for _ in range(2))
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    assert [weight.path for weight in first.weights] == [weight.path for weight in second.weights]
    assert all(type(layer).__module__.startswith("keras.") for layer in first.layers)


@pytest.fixture
def bfloat16(precision: None) -> Iterator[None]:
    keras.config.set_dtype_policy("mixed_bfloat16")
    return


def enlarged(scores: np.ndarray) -> np.ndarray:
    """Twice the size, bilinear between pixel centres; one pixel less at each border."""
    for axis in (1, 2):
        near, far = np.delete(scores, -1, axis), np.delete(scores, 0, axis)
        pairs = np.stack([0.75 * near + 0.25 * far, 0.25 * near + 0.75 * far], axis + 1)
        shape = list(scores.shape)
        shape[axis] = 2 * shape[axis] - 2
        scores = pairs.reshape(shape)
    return scores


def check_deployed(trained: keras.Model, architecture: Architecture) -> None:
    deployed = deploy(trained, architecture, CLASSES)
    keras.config.set_dtype_policy("float32")
    reference = architecture.build(CLASSES)
    reference.set_weights(trained.get_weights())
    expected, found = predict(reference, images(32, 64)), predict(deployed, images(32, 64))
    assert found.dtype == np.float32
    assert found.shape == (2, 32, 64, CLASSES)
    if architecture.reduction == 2:
        np.testing.assert_allclose(found[:, 1:-1, 1:-1], enlarged(expected), rtol=1e-4, atol=1e-4)
    else:
        np.testing.assert_array_equal(found, expected)


@each_model
def test_deployed_is_the_trained_model_at_full_size(name: str, precision: None) -> None:
    check_deployed(shaken(NARROW[name].build(CLASSES)), NARROW[name])


@each_model
def test_deployed_computes_in_float32_whatever_trained(name: str, bfloat16: None) -> None:
    trained = shaken(NARROW[name].build(CLASSES))
    assert any(layer.compute_dtype == "bfloat16" for layer in trained.layers)
    check_deployed(trained, NARROW[name])


def test_deploy_leaves_the_precision_of_the_session_alone(bfloat16: None) -> None:
    architecture = NARROW["tutorial"]
    deployed = deploy(architecture.build(CLASSES), architecture, CLASSES)
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert {layer.compute_dtype for layer in deployed.layers} == {"float32"}


@pytest.mark.parametrize("classes", [2, 7])
def test_enlarging_towards_the_border_moves_no_class_past_another(classes: int) -> None:
    architecture = MODELS["small"]
    trained = shaken(architecture.build(classes))
    small_map, full = (predict(m, images(32, 32)) for m in (trained, deploy(trained, architecture, classes)))
    np.testing.assert_array_equal(full[:, 0, 0].argmax(-1), small_map[:, 0, 0].argmax(-1))
