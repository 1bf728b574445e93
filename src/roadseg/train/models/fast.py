"""Two stock layers with a faster kernel where the backend is TensorFlow; on any other they compute as their parents.

They have their parents' weights, names and configuration, so `deploy` can put the stock layer in their place.
"""

from typing import Any

import keras
from keras import ops


class FusedNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]  # Keras ships no types
    """Batch normalisation of (N, H, W, C) over all but C, in one kernel where Keras takes some ten.

    For the options that our models use: the last axis, scale and centre, no renormalisation, one device's batch.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalise, and in training move the averages."""
        if not (training and self.trainable and mask is None and on_tensorflow()):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf  # late: another backend must not load it

        none = tf.zeros(0)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=self.gamma, offset=self.beta, mean=none, variance=none, epsilon=self.epsilon
        )
        count = tf.cast(tf.size(inputs) / tf.size(mean), "float32")
        biased = variance * (tf.maximum(count - 1, 1) / count)  # the kernel's is Bessel's, Keras averages the other
        for average, value in ((self.moving_mean, mean), (self.moving_variance, biased)):
            average.assign(average * self.momentum + value * (1 - self.momentum))
        return outputs


class Doubling(keras.layers.UpSampling2D):  # type: ignore[misc]  # Keras ships no types
    """Twice the height and width of (N, H, W, C); also bilinear where TensorFlow does not know H and W yet."""

    def call(self, inputs: Any) -> Any:
        """Enlarge."""
        if on_tensorflow():
            import tensorflow as tf  # late: another backend must not load it

            size = 2 * tf.shape(inputs)[1:3]
            return tf.cast(tf.image.resize(inputs, size, self.interpolation), inputs.dtype)
        return doubled(inputs) if self.interpolation == "bilinear" else super().call(inputs)


def doubled(x: Any) -> Any:
    """Twice the size, bilinear: a few sums that XLA makes one of, where Keras' resize multiplies by large matrices.

    Args:
        x: float (N, H, W, C), H and W known.

    Returns:
        float (N, 2 H, 2 W, C), the border repeated.
    """
    for axis in (1, 2):
        first, last = ops.split(x, [1], axis)[0], ops.split(x, [x.shape[axis] - 1], axis)[1]
        before = ops.concatenate([first, ops.split(x, [x.shape[axis] - 1], axis)[0]], axis)
        after = ops.concatenate([ops.split(x, [1], axis)[1], last], axis)
        pairs = ops.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        shape = list(x.shape)
        shape[axis] *= 2
        x = ops.reshape(pairs, shape)
    return x


def on_tensorflow() -> bool:
    """Whether Keras computes with TensorFlow."""
    return bool(keras.backend.backend() == "tensorflow")
