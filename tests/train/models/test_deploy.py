"""What leaves training computes what was trained, of stock layers, whatever the precision was."""

from collections.abc import Iterator
from dataclasses import replace

import keras
import numpy as np
import pytest
from narrow_models import CLASSES, NARROW, each_model, images, narrow, predict, settled

from roadseg.train.losses.segmentation import SegmentationLoss
from roadseg.train.models.deploy import deploy, without_normalisation
from roadseg.train.models.known import Architecture, residual_unet
from roadseg.train.models.unet import SIZES


def close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@each_model
def test_a_model_is_made_of_named_stock_layers_without_normalisation(name: str) -> None:
    first, second = (deploy(NARROW[name].build(CLASSES), NARROW[name], CLASSES) for _ in range(2))
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    assert [weight.path for weight in first.weights] == [weight.path for weight in second.weights]
    assert {operation.name for operation in first.operations} == {layer.name for layer in first.layers}
    assert all(type(layer).__module__.startswith("keras.") for layer in first.layers)
    assert not [layer for layer in first.layers if isinstance(layer, keras.layers.BatchNormalization)]


@pytest.mark.parametrize("up", ["bilinear", "nearest"])
def test_folded_is_the_trained_model(up: str) -> None:
    architecture = residual_unet("small", replace(narrow(SIZES["small"]), up=up))
    trained = settled(architecture)
    trained.compile("adam", SegmentationLoss(np.ones(CLASSES), 1.0, from_logits=True))
    expected = predict(trained, images(48, 64))
    assert np.abs(expected).max() > 0.1
    close(predict(without_normalisation(trained), images(48, 64)), expected)


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
        close(found[:, 1:-1, 1:-1], enlarged(expected))
    else:
        np.testing.assert_array_equal(found, expected)


@each_model
def test_deployed_is_the_trained_model_at_full_size(name: str, precision: None) -> None:
    check_deployed(settled(NARROW[name]), NARROW[name])


@pytest.mark.parametrize("name", ["small", "tutorial"])
def test_deployed_computes_in_float32_whatever_trained(name: str, bfloat16: None) -> None:
    trained = settled(NARROW[name])
    assert any(layer.compute_dtype == "bfloat16" for layer in trained.layers)
    check_deployed(trained, NARROW[name])


def test_deploy_leaves_the_precision_of_the_session_alone(bfloat16: None) -> None:
    for architecture in NARROW.values():
        deployed = deploy(architecture.build(CLASSES), architecture, CLASSES)
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        assert {layer.compute_dtype for layer in deployed.layers if layer.name != "image"} == {"float32"}


@pytest.mark.parametrize("classes", [2, 7])
def test_enlarging_towards_the_border_moves_no_class_past_another(classes: int) -> None:
    architecture = NARROW["small"]
    trained = settled(architecture, classes)
    small_map, full = (predict(m, images(32, 32)) for m in (trained, deploy(trained, architecture, classes)))
    np.testing.assert_array_equal(full[:, 0, 0].argmax(-1), small_map[:, 0, 0].argmax(-1))
