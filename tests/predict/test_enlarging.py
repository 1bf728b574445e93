"""One kernel for an enlargement answers as the stock layers of a bundle do, and takes no other layer's place."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from narrow_models import CLASSES, NARROW, each_model, settled

from roadseg.contracts.bundle import Bundle
from roadseg.predict import predictor
from roadseg.predict.enlarging import Enlarging, bilinear_factor, enlarged_at_once
from roadseg.predict.forward import Forward
from roadseg.train.models.deploy import bilinear_kernel, deploy, doubled_bilinear


def around(enlarge: Callable[[keras.KerasTensor], keras.KerasTensor], channels: int = 3) -> keras.Model:
    """A model of an enlargement alone."""
    given = keras.Input((None, None, channels))
    return keras.Model(given, enlarge(given))


def transposed(factor: int, channels: int = 3, **options: object) -> keras.layers.Layer:
    """The transposed convolution with which `deploy` brings scores to full size."""
    asked = {"strides": factor, "padding": "same", "use_bias": False} | options
    layer = layers.Conv2DTranspose(channels, 2 * factor, **asked)
    layer.build((None, None, None, channels))
    layer.set_weights([bilinear_kernel(factor, channels)])
    return layer


@each_model
def test_a_bundle_s_model_answers_the_same_with_fewer_layers(name: str) -> None:
    model = deploy(settled(NARROW[name]), NARROW[name], CLASSES)
    faster = enlarged_at_once(model)
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    expected = model.predict_on_batch(images)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(faster.predict_on_batch(images), expected, rtol=0, atol=2e-6 * max(scale, 1))
    if name == "tutorial":  # enlarges by kernels that it learns
        assert faster is model
        return
    kinds = {type(layer) for layer in faster.layers}
    assert Enlarging in kinds
    assert not {layers.UpSampling2D, layers.AveragePooling2D, layers.Conv2DTranspose} & kinds
    assert not any(layer.name.endswith("_at_once") for layer in model.layers)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 2), (7, 6)], ids=str)
@pytest.mark.parametrize("factor", [2, 4])
def test_scores_fade_towards_the_border_as_a_transposed_convolution_s(factor: int, size: tuple[int, int]) -> None:
    model = around(transposed(factor))
    given = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    [taken] = [layer for layer in enlarged_at_once(model).layers if isinstance(layer, Enlarging)]
    np.testing.assert_allclose(taken(given), model.predict_on_batch(given), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 2), (7, 6)], ids=str)
def test_features_keep_their_value_at_the_border(size: tuple[int, int]) -> None:
    model = around(lambda given: doubled_bilinear(given, "up"))
    given = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    faster = enlarged_at_once(model)
    assert [type(layer) for layer in faster.layers] == [layers.InputLayer, Enlarging]
    np.testing.assert_allclose(faster.predict_on_batch(given), model.predict_on_batch(given), rtol=0, atol=1e-6)


def test_a_transposed_convolution_that_does_more_stays() -> None:
    assert bilinear_factor(transposed(2)) == 2
    learnt = transposed(2)
    learnt.set_weights([1.01 * learnt.get_weights()[0]])
    others = [learnt, transposed(2, activation="relu"), layers.Conv2D(3, 1), transposed(2, output_padding=1)]
    others += [transposed(1), transposed(3)]  # which move pixels by half of one
    assert [bilinear_factor(layer) for layer in others] == [None] * len(others)
    model = around(learnt)
    assert enlarged_at_once(model) is model


@pytest.mark.parametrize(
    ("share", "times", "sides"), [(1 / 16, 3.0, "x"), (1 / 8, 3.0, "yx"), (1 / 16, 2.0, "yx"), (1 / 16, 3.0, "xy")]
)
def test_an_addition_of_another_kind_stays(share: float, times: float, sides: str) -> None:
    def altered(given: keras.KerasTensor) -> keras.KerasTensor:
        x = layers.Rescaling(share)(given)
        for side in sides:
            x = layers.UpSampling2D((2, 1) if side == "y" else (1, 2))(x)
            mean = layers.AveragePooling2D((3, 1) if side == "y" else (1, 3), 1, "same")(x)
            x = layers.Add()([x, layers.Rescaling(times)(mean)])
        return x

    model = around(altered)
    assert enlarged_at_once(model) is model


def test_another_backend_computes_the_layers_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    model = around(transposed(2))
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert enlarged_at_once(model) is model


def test_a_predictor_enlarges_at_once(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[type] = []
    make = predictor.forward

    def noted(model: keras.Model, shape: tuple[int, ...]) -> Forward:
        seen.extend(type(layer) for layer in model.layers)
        return make(model, shape)

    monkeypatch.setattr(predictor, "forward", noted)
    asked = predictor.Predictor(Bundle.open(finished / "models/bundle"))
    assert not seen
    next(asked([np.zeros((64, 64, 3), np.uint8)]))
    assert Enlarging in seen
    assert layers.AveragePooling2D not in seen


def test_the_precision_of_what_is_replaced_is_kept() -> None:
    model = deploy(settled(NARROW["small"]), NARROW["small"], CLASSES)
    low = keras.models.clone_model(
        model,
        clone_function=lambda layer: type(layer).from_config(
            layer.get_config() | ({} if isinstance(layer, layers.InputLayer) else {"dtype": "mixed_bfloat16"})
        ),
    )
    enlarging = [layer for layer in enlarged_at_once(low).layers if isinstance(layer, Enlarging)]
    assert {layer.compute_dtype for layer in enlarging} == {"bfloat16"}
    assert {str(layer.output.dtype) for layer in enlarging} == {"bfloat16"}
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    one, other = (np.asarray(each.predict_on_batch(images), np.float32) for each in (low, enlarged_at_once(low)))
    assert np.abs(one - other).max() < 0.05 * np.abs(one).max()
