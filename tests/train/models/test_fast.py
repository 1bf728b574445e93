"""The TensorFlow fast paths are their neutral twins: outputs, gradients and what they remember."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from roadseg.train.models.fast import Doubling, FusedNormalization, doubled

RNG = np.random.default_rng(4)
SCALE, SHIFT, MEAN, VARIANCE = (RNG.uniform(0.5, 2, 6).astype(np.float32) for _ in range(4))


def passed(kind: type[layers.Layer], inputs: np.ndarray, policy: str) -> list[np.ndarray]:
    """Output, gradients of inputs and weights, and the averages after one step of a normalisation."""
    layer = kind(momentum=0.9, dtype=policy)
    layer.build(inputs.shape)
    layer.set_weights([SCALE, SHIFT, MEAN, VARIANCE])
    values = tf.cast(inputs, layer.compute_dtype)
    pull = tf.cast(np.random.default_rng(5).normal(size=inputs.shape), layer.compute_dtype)

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(values)
            out = layer(values, training=True)
        trained = [weight.value for weight in layer.trainable_weights]
        return [out, *tape.gradient(out, [values, *trained], output_gradients=pull)]

    return [tf.cast(each, tf.float32).numpy() for each in step()] + layer.get_weights()[2:]


@pytest.mark.parametrize("shape", [(4, 6, 8, 6), (2, 1, 1, 6), (1, 2, 3, 6)])  # few pixels: Bessel's share is large
@pytest.mark.parametrize(("policy", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 2e-2)])
def test_fused_normalisation_is_the_stock_layer(shape: tuple[int, ...], policy: str, tolerance: float) -> None:
    inputs = RNG.normal(3, 2, shape).astype(np.float32)
    found, stock = (passed(kind, inputs, policy) for kind in (FusedNormalization, layers.BatchNormalization))
    assert len(found) == 6
    for one, other in zip(found, stock, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(found[-2:], stock[-2:], rtol=1e-5 if policy == "float32" else 3e-3)


def test_one_pixel_leaves_a_variance_of_zero_in_the_average() -> None:
    kinds = (FusedNormalization, layers.BatchNormalization)
    found, stock = (passed(kind, np.ones((1, 1, 1, 6)), "float32")[-1] for kind in kinds)
    np.testing.assert_allclose(found, stock)


def test_fused_normalisation_infers_and_freezes_as_the_stock_layer() -> None:
    inputs = RNG.normal(size=(2, 3, 4, 6)).astype(np.float32)
    for training, trainable in ((False, True), (True, False)):
        results = []
        for kind in (FusedNormalization, layers.BatchNormalization):
            layer = kind(trainable=trainable)
            layer.build(inputs.shape)
            layer.set_weights([SCALE, SHIFT, MEAN, VARIANCE])
            results.append([np.asarray(layer(inputs, training=training)), *layer.get_weights()])
        for one, other in zip(*results, strict=True):
            np.testing.assert_array_equal(one, other)


def test_fused_normalisation_repeats_itself_to_the_bit() -> None:
    inputs = RNG.normal(size=(8, 32, 32, 6)).astype(np.float32)
    first = passed(FusedNormalization, inputs, "float32")
    for _ in range(5):
        for one, other in zip(first, passed(FusedNormalization, inputs, "float32"), strict=True):
            np.testing.assert_array_equal(one, other)


def test_fused_normalisation_runs_the_fused_kernel_and_only_in_training() -> None:
    layer = FusedNormalization()
    layer.build((None, 4, 4, 6))
    traced = tf.function(layer).get_concrete_function
    values = tf.TensorSpec((None, None, None, 6))
    for training, expected in ((True, 1), (False, 0)):
        kinds = [op.type for op in traced(values, training=training).graph.get_operations()]
        assert kinds.count("FusedBatchNormV3") == expected


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_doubling_has_the_gradient_of_the_stock_layer(interpolation: str) -> None:
    values = tf.constant(RNG.normal(size=(2, 3, 5, 6)).astype(np.float32))
    pull = tf.constant(RNG.normal(size=(2, 6, 10, 6)).astype(np.float32))

    def gradient(layer: Any) -> np.ndarray:
        with tf.GradientTape() as tape:
            tape.watch(values)
            out = layer(values)
        return np.asarray(tape.gradient(out, values, output_gradients=pull))

    twins = [Doubling(interpolation=interpolation, name="up"), layers.UpSampling2D(interpolation=interpolation)]
    twins += [doubled] if interpolation == "bilinear" else []
    first, *others = map(gradient, twins)
    for other in others:
        np.testing.assert_allclose(first, other, atol=1e-5)


def test_doubling_can_be_traced_before_the_size_is_known() -> None:
    layer = Doubling(interpolation="bilinear", name="up")
    traced = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 6))])
    values = RNG.normal(size=(2, 3, 5, 6)).astype(np.float32)
    np.testing.assert_array_equal(traced(values), layer(values))


def test_the_layers_are_told_apart_from_stock_by_their_kind_alone() -> None:
    assert FusedNormalization(name="n").get_config() == layers.BatchNormalization(name="n").get_config()
    ours, stock = Doubling(interpolation="bilinear", name="n"), layers.UpSampling2D(interpolation="bilinear", name="n")
    assert ours.get_config() == stock.get_config()
    assert keras.layers.UpSampling2D.from_config(ours.get_config()).size == (2, 2)
