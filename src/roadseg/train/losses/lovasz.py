"""Lovasz-Softmax: a loss whose value at a hard prediction is one minus the mean IoU."""

import keras
from keras import ops


def lovasz_softmax(truth: keras.KerasTensor, guess: keras.KerasTensor) -> keras.KerasTensor:
    """Lovasz extension of the Jaccard loss, over all pixels and the mean of the classes present.

    Args:
        truth: float (..., K), one-hot; zeros where void.
        guess: float (..., K), probabilities; zeros where void, so that such a pixel has no error.

    Returns:
        A scalar, 0..1; 0 where all is void.

    Source: Berman et al., "The Lovasz-Softmax loss", CVPR 2018, algorithm 1. It takes differences of neighbouring
    Jaccard losses; here stands what they come to, since close float32 numbers cancel.
    """
    truth, guess = (ops.transpose(ops.reshape(each, (-1, each.shape[-1]))) for each in (truth, guess))
    errors = ops.abs(truth - guess)
    order = ops.argsort(-errors, axis=-1)  # void pixels come among those without error and weigh nothing
    errors, hit = ops.take_along_axis(errors, order, -1), ops.take_along_axis(truth, order, -1)
    there = ops.sum(truth, -1, keepdims=True)
    intersection = there - ops.cumsum(hit, -1)
    union = there + ops.cumsum(1 - hit, -1)
    rises = ops.where(hit > 0, 1 / union, intersection / (union * ops.maximum(union - 1, 1)))
    present = ops.cast(there[:, 0] > 0, "float32")
    return ops.sum(ops.sum(errors * rises, -1) * present) / (ops.sum(present) + 1e-7)
