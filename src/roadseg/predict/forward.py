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
    """The model itself in float32, else one that computes in bfloat16 all but scores and depthwise kernels.

    Between depthwise kernels larger than 1x1 only dense convolutions are in bfloat16, which spares casts. On a
    processor whose kernels would round every sum, the weights are bfloat16 and the arithmetic is float32: that is as
    fast there, and half as far from float32.

    Args:
        model: of stock layers, float32.
        precision: to compute in.
        classes: number of classes K; what has as many channels are scores, which bfloat16 would make equal too often.
    """
    if precision == "float32":
        return model
    if not (has_gpu() or sums_bfloat16_in_float32()):
        rounded = keras.models.clone_model(model)
        rounded.set_weights([weight.astype("bfloat16").astype("float32") for weight in model.get_weights()])
        return rounded

    by_channel = keras.layers.DepthwiseConv2D
    between = any(isinstance(layer, by_channel) and max(layer.kernel_size) > 1 for layer in model.layers)
    kept, dense = keras.layers.Layer if between else by_channel, (keras.layers.Conv2D, keras.layers.Conv2DTranspose)

    def lowered(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if not isinstance(layer, keras.layers.InputLayer):
            exact = layer.output.shape[-1] == classes or (isinstance(layer, kept) and not isinstance(layer, dense))
            config["dtype"] = "float32" if exact else "mixed_bfloat16"
        return type(layer).from_config(config)

    low = keras.models.clone_model(model, clone_function=lowered)
    low.set_weights(model.get_weights())
    return low


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
