"""The loss: weighted cross-entropy plus Dice, void left out of both."""

import keras
import numpy as np
from keras import ops


class SegmentationLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras ships no types
    """Weighted cross-entropy plus `dice` times one minus the mean Dice coefficient of the batch.

    Args of the call: uint8 (N, H, W) ids, from K upward void; float (N, H, W, K) logits or probabilities.

    Source: Dice as in V-Net (Milletari et al. 2016), over the batch and the classes present in it.
    """

    def __init__(self, weights: np.ndarray, dice: float, from_logits: bool) -> None:
        """Take float (K,) class weights, the weight of Dice, and what the model puts out."""
        super().__init__(name="segmentation", reduction=None)
        self._weights, self._dice, self._from_logits = weights.astype(np.float32), dice, from_logits

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Compute the scalar loss."""
        y_pred = ops.cast(y_pred, "float32")
        truth = ops.one_hot(ops.cast(y_true, "int32"), len(self._weights))  # void becomes a row of zeros
        log = ops.log_softmax(y_pred) if self._from_logits else ops.log(y_pred + 1e-7)
        weighted = truth * self._weights
        entropy = -ops.sum(weighted * log) / (ops.sum(weighted) + 1e-7)
        if not self._dice:
            return entropy
        guess = ops.exp(log) * ops.sum(truth, -1, keepdims=True)
        axes = (0, 1, 2)
        there = ops.sum(truth, axes)
        overlap = (2 * ops.sum(guess * truth, axes) + 1) / (ops.sum(guess, axes) + there + 1)
        present = ops.cast(there > 0, "float32")
        return entropy + self._dice * (1 - ops.sum(overlap * present) / (ops.sum(present) + 1e-7))


def class_weights(pixels: np.ndarray, exponent: float) -> np.ndarray:
    """Weight rare classes up.

    Args:
        pixels: integer (K,), pixels of each class in the training data.
        exponent: 0 weighs all alike, 1 by inverse frequency.

    Returns:
        float64 (K,), (mean frequency / frequency) ** exponent; 0 for a class that never occurs.
    """
    there = pixels > 0
    ratio = np.divide(pixels[there].mean(), pixels, out=np.zeros(len(pixels)), where=there)
    return np.asarray(np.where(there, ratio**exponent, 0))
