"""From a trained model to the one that leaves training: float32, full size, stock layers, explicit names."""

import keras
import numpy as np

from roadseg.train.models.known import Architecture


def deploy(trained: keras.Model, architecture: Architecture, classes: int) -> keras.Model:
    """Rebuild under float32, copy the weights and bring the output to the input's size.

    Args:
        trained: as `architecture` builds it, in any precision.
        architecture: says how far the output is reduced.
        classes: number of classes K.

    Returns:
        A model from uint8 (N, H, W, 3) to float32 (N, H, W, K).
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # a model saved under mixed precision computes in bfloat16 when loaded
    try:
        model = architecture.build(classes)
        model.set_weights(trained.get_weights())
        if architecture.reduction == 1:
            return model
        factor = architecture.reduction
        enlarge = keras.layers.Conv2DTranspose(
            classes, 2 * factor, strides=factor, padding="same", use_bias=False, trainable=False, name="to_full_size"
        )
        full = keras.Model(model.input, enlarge(model.output), name=trained.name)
        enlarge.set_weights([bilinear_kernel(factor, classes)])
        return full
    finally:
        keras.config.set_dtype_policy(policy)


def bilinear_kernel(factor: int, classes: int) -> np.ndarray:
    """Kernel with which a strided transposed convolution interpolates bilinearly.

    A bilinear UpSampling2D cannot be traced with unknown height and width by TensorFlow (Keras 3.15), this can.
    Towards the border all classes shrink alike, which changes no argmax.

    Args:
        factor: of the enlargement, even.
        classes: number of channels K.

    Returns:
        float32 (2 * factor, 2 * factor, K, K), zero between different classes.
    """
    line = 1 - np.abs((np.arange(2 * factor) + 0.5) / factor - 1)
    return np.asarray(np.einsum("y,x,ab->yxab", line, line, np.eye(classes)), np.float32)
