from collections.abc import Callable
from functools import cache, partial

import keras
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from narrow_models import ENCODER_LAYERS, narrow_encoder

from roadseg.contracts.errors import UsageError
from roadseg.serving.export.graph import to_onnx
from roadseg.serving.export.runtime import run_by
from roadseg.train.models import tutorial, unet
from roadseg.train.models.deploy import deploy
from roadseg.train.models.known import Architecture, residual_unet

CLASSES = 7
NARROW = unet.Config(stem=8, stages=((8, 1), (16, 2)), decoder=(8, 8), dropout=0.1, up="bilinear")
FAMILY = {
    "bilinear": residual_unet("bilinear", NARROW),
    "nearest": residual_unet("nearest", unet.Config(8, ((8, 1), (16, 1), (16, 1)), (8, 8, 16), 0.0, "nearest")),
    "tutorial": Architecture(partial(tutorial.build, filters=4), tutorial.STRIDE, 1, "probabilities"),
    **{name: narrow_encoder(name) for name in ENCODER_LAYERS},
}


@cache
def deployed(name: str) -> keras.Model:
    """A model of the family as it leaves training, with weights of which each matters."""
    keras.utils.set_random_seed(0)
    rng, architecture = np.random.default_rng(0), FAMILY[name]
    model = architecture.build(CLASSES)
    for weight in model.weights:
        if weight.path.endswith(("bias", "beta", "gamma", "moving_mean", "moving_variance")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return deploy(model, architecture, CLASSES)


@pytest.fixture(params=list(FAMILY))
def model(request: pytest.FixtureRequest) -> keras.Model:
    return deployed(request.param)


def tiles(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)


def differ(model: keras.Model, content: bytes, batch: np.ndarray) -> float:
    """The largest difference of two scores, against the largest score."""
    expected = model.predict_on_batch(batch)
    found = run_by(content)(batch)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype == np.float32
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def test_every_model_of_the_family_gives_the_same_scores_at_any_size(model: keras.Model) -> None:
    content = to_onnx(model, None, {}).SerializeToString()
    for batch in (tiles(1, 32, 64), tiles(3, 64, 32)):
        assert differ(model, content, batch) < 1e-5


def test_a_fixed_size_leaves_the_batch_free(model: keras.Model) -> None:
    found = to_onnx(model, (32, 64), {})
    [taken] = found.graph.input
    sides = [side.dim_value or side.dim_param for side in taken.type.tensor_type.shape.dim]
    assert sides == ["batch", 32, 64, 3]
    content = found.SerializeToString()
    for batch in (tiles(1, 32, 64), tiles(3, 32, 64)):
        assert differ(model, content, batch) < 1e-5


def test_equal_models_give_equal_bytes_that_say_what_they_are() -> None:
    first, second = (
        to_onnx(deployed.__wrapped__("bilinear"), None, {"weights": "abc", "classes": "[]"}) for _ in range(2)
    )
    assert first.SerializeToString() == second.SerializeToString()
    assert {entry.key: entry.value for entry in first.metadata_props} == {"weights": "abc", "classes": "[]"}


def test_an_enlargement_is_one_node_and_no_layer_is_left_over() -> None:
    kinds = [node.op_type for node in to_onnx(deployed("bilinear"), None, {}).graph.node]
    assert kinds.count("Resize") == 2
    assert "AveragePool" not in kinds
    assert len(kinds) < 50


def one_layer(make: Callable[[keras.KerasTensor], keras.KerasTensor]) -> keras.Model:
    image = keras.Input((None, None, 3), dtype="uint8", name="image")
    return keras.Model(image, make(layers.Rescaling(1 / 255, offset=-0.5, name="scale")(image)), name="one")


@settings(max_examples=12)
@given(
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.sampled_from([1, 2, 4]),
    transposed=st.booleans(),
    bias=st.booleans(),
    activation=st.sampled_from(["linear", "relu", "softmax"]),
)
def test_a_convolution_is_padded_as_keras_pads(
    size: tuple[int, int], stride: int, transposed: bool, bias: bool, activation: str
) -> None:
    kind = layers.Conv2DTranspose if transposed else layers.Conv2D
    layer = kind(4, size, strides=stride, padding="same", use_bias=bias, activation=activation, name="convolution")
    model = one_layer(layer)
    layer.set_weights([np.random.default_rng(0).normal(size=weight.shape) for weight in layer.weights])
    assert differ(model, to_onnx(model, None, {}).SerializeToString(), tiles(2, 8, 12)) < 1e-5


@pytest.mark.parametrize(
    "layer",
    [
        layers.MaxPooling2D(name="x"),
        layers.MaxPooling2D(3, 2, "same", name="x"),
        layers.AveragePooling2D((3, 1), 1, "same", name="x"),
        layers.GlobalAveragePooling2D(keepdims=True, name="x"),
        layers.UpSampling2D((2, 3), name="x"),
        layers.Conv2D(6, 3, groups=3, dilation_rate=2, padding="same", name="x"),
        layers.Conv2D(2, 3, padding="valid", name="x"),
        layers.Dropout(0.5, name="x"),
        layers.DepthwiseConv2D((3, 5), 2, "same", activation="sigmoid", name="x"),
        layers.LayerNormalization(epsilon=1e-6, name="x"),
        layers.ZeroPadding2D(((1, 2), (0, 3)), name="x"),
        layers.Rescaling([2.0, 3.0, 4.0], [0.1, 0.2, 0.3], name="x"),
        layers.ReLU(0.25, name="x"),
        *(layers.Activation(kind, name="x") for kind in ("silu", "gelu", "hard_silu", "hard_sigmoid", "sigmoid")),
    ],
)
def test_a_layer_computes_as_in_keras(layer: keras.layers.Layer) -> None:
    model = one_layer(lambda x: layers.Conv2D(2, 1, name="last")(layer(x)))
    assert differ(model, to_onnx(model, None, {}).SerializeToString(), tiles(2, 8, 12)) < 1e-5


def test_what_only_looks_like_an_enlargement_is_left_as_it_is() -> None:
    def lookalike(x: keras.KerasTensor) -> keras.KerasTensor:
        x = layers.Rescaling(1 / 16, name="share")(x)
        for factors, window in (((2, 1), (3, 1)), ((1, 2), (1, 3))):
            x = layers.UpSampling2D(factors)(x)
            mean = layers.AveragePooling2D(window, 1, "same")(x)
            x = layers.Add()([x, layers.Rescaling(3.5)(mean)])
        return layers.Conv2D(2, 1, name="last")(x)

    model = one_layer(lookalike)
    assert differ(model, to_onnx(model, None, {}).SerializeToString(), tiles(2, 8, 12)) < 1e-5


@pytest.mark.parametrize(
    "layer",
    [
        layers.ELU(name="odd"),
        layers.GlobalAveragePooling2D(name="odd"),
        layers.GroupNormalization(1, name="odd"),
    ],
)
def test_what_no_model_of_ours_has_is_refused_by_name(layer: keras.layers.Layer) -> None:
    with pytest.raises(UsageError, match=r"layer odd is a .* that has no form in ONNX here"):
        to_onnx(one_layer(layer), None, {})


def test_the_file_is_of_a_version_that_older_runtimes_read() -> None:
    found = to_onnx(deployed("tutorial"), None, {})
    assert (found.ir_version, found.opset_import[0].version) == (8, 17)
    onnx.checker.check_model(found, full_check=True)
