"""A model as a function of one fixed shape, in the precision asked for.

Of one shape, because kernels round by it: an image's scores then depend on nothing else in its batch. On a CPU under
TensorFlow not even on the batch's size.
"""

from collections.abc import Callable

import keras
import numpy as np

from roadseg.machine.hardware import has_gpu
from roadseg.machine.precision import Precision, sums_bfloat16_in_float32

Forward = Callable[[np.ndarray], np.ndarray]


def in_precision(model: keras.Model, precision: Precision, classes: int) -> keras.Model:
    """The model itself in float32, else one that computes in bfloat16 all but scores, normalisations and GELU.

    On a processor whose kernels would round every sum, the weights are bfloat16 and the arithmetic is float32: that is
    as fast there, and half as far from float32.

    Args:
        model: of stock layers, float32.
        precision: to compute in.
        classes: number of classes K; what has as many channels are scores, which bfloat16 would make equal too often.
    """
    if precision == "float32":
        return model

    def lowered(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if not isinstance(layer, keras.layers.InputLayer):
            config["dtype"] = "float32" if _is_exact(layer, classes) else "mixed_bfloat16"
        return type(layer).from_config(config)

    if has_gpu() or sums_bfloat16_in_float32():
        low, weights = keras.models.clone_model(model, clone_function=lowered), model.get_weights()
    else:
        low = keras.models.clone_model(model)
        weights = [weight.astype("bfloat16").astype("float32") for weight in model.get_weights()]
    low.set_weights(weights)
    for layer in model.layers:
        if _depthwise_size(layer) > 1:
            low.get_layer(layer.name).kernel.assign(rounded_in_sum(np.asarray(layer.kernel)))
    return low


def _is_exact(layer: keras.layers.Layer, classes: int) -> bool:
    """Scores; GELU, far slower in bfloat16; a depthwise 1x1, which is a normalisation that could not be folded away."""
    is_gelu = layer.get_config().get("activation") == "gelu"
    return bool(layer.output.shape[-1] == classes or is_gelu or _depthwise_size(layer) == 1)


def _depthwise_size(layer: keras.layers.Layer) -> int:
    """Height or width of a depthwise kernel; 0 of any other layer."""
    return max(layer.kernel_size) if isinstance(layer, keras.layers.DepthwiseConv2D) else 0


def rounded_in_sum(kernel: np.ndarray) -> np.ndarray:
    """Round a depthwise kernel to bfloat16, what one place loses carried over to the next.

    So each channel's sum stays, and with it its answer where the picture is even. Rounded one by one, errors of so few
    products do not cancel, and move half as many ids again.

    Args:
        kernel: float32 (height, width, C, M).

    Returns:
        Float32 of the same shape, each of bfloat16's numbers.
    """
    rounded, carried = np.empty_like(kernel), np.zeros(kernel.shape[2:], np.float32)
    for place in np.ndindex(kernel.shape[:2]):
        wanted = kernel[place] + carried
        rounded[place] = wanted.astype("bfloat16").astype(np.float32)
        carried = wanted - rounded[place]
    return rounded


def forward(model: keras.Model, shape: tuple[int, ...]) -> Forward:
    """The model for batches of exactly this shape.

    On TensorFlow the weights become constants of the graph, so that they are cast and brought into the kernels' own
    layout once, not at each call: two to three times as fast in bfloat16. On a CPU each image goes through kernels of
    its own, several images at once: see `machine.kernels`.

    Args:
        model: uint8 (N, H, W, 3) to float32 (N, H, W, K).
        shape: N, H, W and 3.

    Returns:
        A function of the batch, which gives a NumPy array.
    """
    if keras.backend.backend() != "tensorflow":
        return lambda batch: np.asarray(model.predict_on_batch(batch))
    import tensorflow as tf  # late: another backend must not load it

    weights = [
        [weight.numpy() for weight in each] for each in (model.trainable_variables, model.non_trainable_variables)
    ]

    parts = shape[0] if _one_by_one() else 1

    def compute(batch: "tf.Tensor") -> "tf.Tensor":
        constants = [[tf.constant(weight) for weight in each] for each in weights]
        one = tf.function(lambda part: model.stateless_call(*constants, part, training=False)[0], autograph=False)
        return tf.concat([one(part) for part in tf.split(batch, parts)], 0)

    # traced here and not at its first call, so that nothing but the graph keeps a copy of the weights
    traced = tf.function(compute, autograph=False).get_concrete_function(tf.TensorSpec(shape, tf.uint8))
    return lambda batch: np.asarray(traced(tf.constant(batch)))


def filled_to(images: int, batch: int) -> int:
    """How many images a batch must hold for `images` of them to be answered as in any other.

    Args:
        images: that there are, at most `batch`.
        batch: of the predictor; where each image goes by itself fewer do, of few sizes, since each is another graph.
    """
    return min(batch, 1 << (images - 1).bit_length()) if _one_by_one() else batch


def _one_by_one() -> bool:
    return keras.backend.backend() == "tensorflow" and not has_gpu()
