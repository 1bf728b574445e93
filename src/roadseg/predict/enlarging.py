"""Where a model enlarges bilinearly by stock layers, and TensorFlow's one kernel in their place.

A bundle is of stock layers, and those that can enlarge any height and width are nine passes over the decoder's largest
arrays, or a transposed convolution nearly all of whose weights are 0: together a tenth of a prediction
with AVX2. `train.models.deploy` writes both.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

HALVES = (((1, 2), (1, 3)), ((2, 1), (3, 1)))  # what `doubled_bilinear` repeats and averages over, last first


def makers_of(model: keras.Model) -> dict[int, keras.layers.Layer]:
    """The layer that makes each tensor, by the tensor's id."""
    return {id(layer.output): layer for layer in model.layers}


def first_of_doubling(layer: Any, makers: dict[int, Any]) -> keras.layers.Layer | None:
    """The first of the layers that give something twice its size, if `layer` is the last of them.

    Args:
        layer: any of a model's.
        makers: of the model, see `makers_of`.
    """
    end = layer
    for repeated, window in HALVES:
        enlarged = _sum_with_three_means(end, makers, repeated, window)
        if enlarged is None:
            return None
        end = makers[id(enlarged.input)]
    is_share = type(end) is layers.Rescaling and (end.scale, end.offset) == (1 / 16, 0.0)
    return end if is_share else None


def _sum_with_three_means(
    layer: Any, makers: dict[int, Any], repeated: tuple[int, int], window: tuple[int, int]
) -> Any:
    if type(layer) is not layers.Add or len(layer.input) != 2:
        return None
    enlarged, three = (makers[id(each)] for each in layer.input)
    mean: Any = makers[id(three.input)] if type(three) is layers.Rescaling else None
    fits = (
        type(mean) is layers.AveragePooling2D
        and mean.input is enlarged.output
        and (three.scale, three.offset) == (3.0, 0.0)
        and (tuple(mean.pool_size), tuple(mean.strides), mean.padding) == (window, (1, 1), "same")
        and type(enlarged) is layers.UpSampling2D
        and (tuple(enlarged.size), enlarged.interpolation) == (repeated, "nearest")
    )
    return enlarged if fits else None


def bilinear_factor(layer: Any) -> int | None:
    """By how much a transposed convolution enlarges, if it does that alone: towards the border it fades."""
    if type(layer) is not layers.Conv2DTranspose or layer.use_bias or layer.activation.__name__ != "linear":
        return None
    factor, channels = layer.strides[0], layer.filters
    shape = (layer.strides, layer.kernel_size, layer.padding, layer.output_padding, layer.dilation_rate)
    if factor % 2 or shape != ((factor, factor), (2 * factor, 2 * factor), "same", None, (1, 1)):
        return None  # with an odd factor pixels would move by half of one
    # what `bilinear_kernel` of train.models.deploy writes, which this room may not import
    line = 1 - np.abs((np.arange(2 * factor) + 0.5) / factor - 1)
    expected = np.einsum("y,x,ab->yxab", line, line, np.eye(channels)).astype(np.float32)
    [kernel] = layer.get_weights()
    return int(factor) if kernel.shape == expected.shape and np.array_equal(kernel, expected) else None


def enlarged_at_once(model: keras.Model) -> keras.Model:
    """The same function with a layer of one kernel for each enlargement; the model itself where there is none.

    Args:
        model: of stock layers; of another backend than TensorFlow it stays as it is. What is returned shares them.
    """
    if keras.backend.backend() != "tensorflow" or isinstance(model, keras.Sequential):
        return model
    makers = makers_of(model)
    firsts = {
        layer.name: first.name for layer in model.layers if (first := first_of_doubling(layer, makers)) is not None
    }
    factors = {layer.name: factor for layer in model.layers if (factor := bilinear_factor(layer))}
    if not firsts and not factors:
        return model
    given: dict[str, Any] = {}  # to the first of the layers that are replaced

    def call(layer: Any, x: Any, **options: Any) -> Any:
        name = layer.name
        if name in firsts:
            return Enlarging(2, fades=False, dtype=layer.dtype_policy, name=f"{name}_at_once")(given[firsts[name]])
        if name in factors:
            return Enlarging(factors[name], fades=True, dtype=layer.dtype_policy, name=f"{name}_at_once")(x)
        given[name] = x
        return layer(x, **options)

    # the same layers and not their copies, which would take three times as long to make
    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


class Enlarging(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """A bilinear enlargement of (N, H, W, C) whose pixels are squares; computed by TensorFlow."""

    def __init__(self, factor: int, *, fades: bool, **options: Any) -> None:
        """Make one.

        Args:
            factor: of height and width.
            fades: beyond the outermost centres of pixels values fall to half, as if zeros followed; else they stay.
            options: Keras' own.
        """
        super().__init__(**options)
        self._factor, self._fades = factor, fades

    def call(self, inputs: Any) -> Any:
        """Enlarge."""
        import tensorflow as tf  # late: another backend must not load it

        size = self._factor * tf.shape(inputs)[1:3]
        outputs = tf.image.resize(inputs, size)
        if self._fades:
            rows, columns = (self._kept(size[axis], tf) for axis in (0, 1))
            outputs *= rows[:, None, None] * columns[:, None]
        return tf.cast(outputs, self.compute_dtype)

    def _kept(self, length: Any, tf: Any) -> Any:
        """What is left of each place along an axis of so many, float32 (length,)."""
        place = tf.range(length, dtype="float32")
        outside = (self._factor - 1) / 2 - tf.minimum(place, tf.cast(length - 1, "float32") - place)
        return 1 - tf.maximum(outside, 0) / self._factor
