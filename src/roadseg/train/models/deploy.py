"""From a trained model to the one that leaves training: float32, full size, stock layers, explicit names.

Batch normalisations are gone: each is folded into the convolution before it, which predicts the same in less time, or
becomes a depthwise one of 1x1 where there is none.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

from roadseg.train.models.known import Architecture


def deploy(trained: keras.Model, architecture: Architecture, classes: int) -> keras.Model:
    """Rebuild under float32 from stock layers, fold, and bring the output to the input's size.

    Args:
        trained: as `architecture` builds it, in any precision.
        architecture: says how far the output is reduced.
        classes: number of classes K.

    Returns:
        A model from uint8 (N, H, W, 3) to float32 (N, H, W, K).
    """
    model = without_normalisation(trained)
    factor = architecture.reduction
    if factor == 1:
        return model
    enlarge = layers.Conv2DTranspose(
        classes,
        2 * factor,
        strides=factor,
        padding="same",
        use_bias=False,
        trainable=False,
        dtype="float32",
        name="to_full_size",
    )
    full = keras.Model(model.input, enlarge(model.output), name=trained.name)
    enlarge.set_weights([bilinear_kernel(factor, classes)])
    return full


def without_normalisation(trained: keras.Model) -> keras.Model:
    """The same function in float32, from stock layers and without normalisation.

    Args:
        trained: a convolution in it that a batch normalisation follows has no activation and feeds nothing else.

    Returns:
        A model of its own with the layers' names, at the training output's size.
    """
    makers = {id(layer.output): layer for layer in trained.layers}
    before = {norm.name: makers[id(norm.input)] for norm in trained.layers if _is_norm(norm)}
    folded = {maker.name: trained.get_layer(name) for name, maker in before.items() if _is_convolution(maker)}
    alone = [name for name, maker in before.items() if not _is_convolution(maker)]

    def stock(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer.name in alone:
            return layers.DepthwiseConv2D(1, dtype="float32", name=layer.name)
        kind: Any = next(kind for kind in type(layer).__mro__ if kind.__module__.startswith("keras."))
        # a model saved under mixed precision computes in bfloat16 when loaded
        changes = {"dtype": "float32"} | ({"use_bias": True} if layer.name in folded else {})
        return kind.from_config(layer.get_config() | changes)

    plain = keras.Model(trained.input, trained.output, name=trained.name)  # a compiled one is cloned with its loss
    model = keras.models.clone_model(plain, clone_function=stock, call_function=_call)
    for layer in trained.layers:
        if layer.name in alone:
            scale, shift = scale_and_shift(layer)
            weights = [scale[None, None, :, None], shift]
        elif not layer.weights or _is_norm(layer):
            continue
        else:
            weights = fold(layer, folded[layer.name]) if layer.name in folded else layer.get_weights()
        model.get_layer(layer.name).set_weights([weight.astype(np.float32) for weight in weights])
    return model


def fold(
    convolution: keras.layers.Conv2D | keras.layers.DepthwiseConv2D, norm: keras.layers.BatchNormalization
) -> list[np.ndarray]:
    """Kernel and bias of the convolution that is both, as inference computes them, float64."""
    kernel, *bias = (weight.astype(np.float64) for weight in convolution.get_weights())
    scale, shift = scale_and_shift(norm)
    # a depthwise kernel has its channels on the axis before the last, which is of length 1
    along = scale[:, None] if isinstance(convolution, layers.DepthwiseConv2D) else scale
    return [kernel * along, shift + (bias[0] if bias else 0) * scale]


def scale_and_shift(norm: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """What inference multiplies each channel by, and what it adds then; float64 (C,)."""
    gamma, beta, mean, variance = (weight.astype(np.float64) for weight in norm.get_weights())
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return scale, beta - mean * scale


def _is_convolution(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D)


def _is_norm(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, layers.BatchNormalization)


def _call(layer: keras.layers.Layer, x: Any, **_: Any) -> Any:
    if _is_norm(layer):  # the others became something else
        return x
    if isinstance(layer, layers.UpSampling2D) and layer.interpolation == "bilinear":
        return doubled_bilinear(x, layer.name)
    return layer(x)


def doubled_bilinear(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Twice the size, bilinear with the border repeated, of layers that TensorFlow traces with unknown H and W.

    A bilinear UpSampling2D cannot be traced so (Keras 3.15). Along an axis, bilinear is the nearest neighbour's
    1/4 and 3/4 of its mean over three, and at the border the mean is over the two that are there, both the same.

    Args:
        x: float (N, H, W, C).
        name: of the layers made.
    """
    x = layers.Rescaling(1 / 16, name=f"{name}_share", dtype="float32")(x)  # both axes' 1/4, where there is least
    for axis, factors, window in (("y", (2, 1), (3, 1)), ("x", (1, 2), (1, 3))):
        x = layers.UpSampling2D(factors, name=f"{name}_{axis}", dtype="float32")(x)
        mean = layers.AveragePooling2D(window, 1, "same", name=f"{name}_{axis}_mean", dtype="float32")(x)
        three = layers.Rescaling(3.0, name=f"{name}_{axis}_three", dtype="float32")(mean)
        x = layers.Add(name=f"{name}_{axis}_sum", dtype="float32")([x, three])
    return x


def bilinear_kernel(factor: int, classes: int) -> np.ndarray:
    """Kernel with which a strided transposed convolution interpolates bilinearly.

    For few channels it is the fastest way. Towards the border all classes shrink alike, which changes no argmax.

    Args:
        factor: of the enlargement, even.
        classes: number of channels K.

    Returns:
        float32 (2 * factor, 2 * factor, K, K), zero between different classes.
    """
    line = 1 - np.abs((np.arange(2 * factor) + 0.5) / factor - 1)
    return np.asarray(np.einsum("y,x,ab->yxab", line, line, np.eye(classes)), np.float32)
