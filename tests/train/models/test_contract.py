"""What every model keeps to, on either backend: `test_backends` runs this file again on JAX."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import keras
import numpy as np
import pytest
from narrow_models import CLASSES, NARROW, each_model, each_trained, images, predict, settled

from roadseg.train.losses.segmentation import SegmentationLoss
from roadseg.train.models.deploy import deploy
from roadseg.train.models.fast import Doubling
from roadseg.train.models.known import MODELS
from roadseg.train.params import TrainParams


@pytest.fixture(params=["float32", "mixed_bfloat16"])
def policy(request: pytest.FixtureRequest, precision: None) -> Iterator[str]:
    keras.config.set_dtype_policy(request.param)
    return request.param


def test_parameters_offer_the_models_there_are() -> None:
    assert set(get_args(TrainParams.model_fields["model"].annotation)) == set(MODELS)


def test_there_is_a_narrow_model_of_each_kind() -> None:
    kinds = {name: type(known.encoder.layers) if known.encoder else name for name, known in MODELS.items()}
    assert {kinds[name] for name in NARROW} == set(kinds.values())


@each_model
def test_a_model_takes_any_multiple_of_its_stride(name: str) -> None:
    architecture = NARROW[name]
    model = architecture.build(CLASSES)
    for multiple in ((1, 2), (3, 1)):
        height, width = (architecture.stride * times for times in multiple)
        scores = predict(model, images(height, width))
        assert scores.shape == (2, height // architecture.reduction, width // architecture.reduction, CLASSES)
        assert scores.dtype == np.float32
        sums_to_one = np.allclose(scores.sum(-1), 1, atol=1e-5)
        assert sums_to_one == (architecture.output == "probabilities")


@each_model
def test_a_saved_model_computes_what_it_computed(name: str, tmp_path: Path) -> None:
    model = deploy(settled(NARROW[name]), NARROW[name], CLASSES)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    pixels = images(32, 64)
    np.testing.assert_array_equal(predict(loaded, pixels), predict(model, pixels))
    assert predict(loaded, images(64, 32)).shape == (2, 64, 32, CLASSES)


@each_trained
def test_a_step_in_either_precision_moves_every_weight(name: str, policy: str) -> None:
    keras.utils.set_random_seed(1)
    architecture = NARROW[name]
    model = architecture.build(CLASSES)
    inner = [layer for layer in model.layers if layer.name not in ("image", architecture.output)]
    by_channel = [layer for layer in inner if isinstance(layer, keras.layers.DepthwiseConv2D)]
    assert {layer.compute_dtype for layer in by_channel} <= {"float32"}
    assert {layer.compute_dtype for layer in inner if layer not in by_channel} == {policy.removeprefix("mixed_")}
    loss = SegmentationLoss(np.ones(CLASSES), 1.0, architecture.output == "logits")
    model.compile(keras.optimizers.SGD(0.1), loss, jit_compile=keras.backend.backend() == "jax")
    pixels = images(32, 64)
    masks = np.random.default_rng(2).integers(0, CLASSES, (2, 32, 64), np.uint8)
    masks = masks[:, :: architecture.reduction, :: architecture.reduction]
    before = model.get_weights()
    for _ in range(3):  # in the first step a residual block's second half has no scale, so its first learns nothing
        assert np.isfinite(model.train_on_batch(pixels, masks))
    still = [weight.path for weight, value in zip(model.weights, before, strict=True) if np.array_equal(weight, value)]
    assert still == []
    assert {weight.dtype for weight in model.weights} == {"float32"}


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 1, 2, 3)])
def test_doubling_is_the_stock_layer(interpolation: str, shape: tuple[int, ...], policy: str) -> None:
    values = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    layer = Doubling(interpolation=interpolation, name="up")
    found = layer(values)
    stock = keras.layers.UpSampling2D(interpolation=interpolation, dtype="float32")(values)
    assert keras.backend.standardize_dtype(found.dtype) == policy.removeprefix("mixed_")
    found, stock = (keras.ops.convert_to_numpy(keras.ops.cast(each, "float32")) for each in (found, stock))
    np.testing.assert_allclose(found, stock, atol=1e-6 if policy == "float32" else 0.03)
