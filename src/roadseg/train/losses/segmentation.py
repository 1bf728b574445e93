"""The loss: weighted cross-entropy, Dice and Lovasz-Softmax, void left out of each."""

import keras
import numpy as np
from keras import ops

from roadseg.train.losses.hard import hardest
from roadseg.train.losses.lovasz import lovasz_softmax


class SegmentationLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras ships no types
    """Weighted cross-entropy plus `dice` times the Dice loss plus `lovasz` times Lovasz-Softmax, over the batch.

    Args of the call: uint8 (N, H, W) ids, from K upward void; float (N, H, W, K) logits or probabilities.
    """

    def __init__(
        self, weights: np.ndarray, dice: float, from_logits: bool, *, lovasz: float = 0.0, hard: float = 0.0
    ) -> None:
        """Choose the terms.

        Args:
            weights: float (K,), of each class in cross-entropy.
            dice: weight of Dice.
            from_logits: whether the model puts out logits, not probabilities.
            lovasz: weight of Lovasz-Softmax.
            hard: share of the pixels, the hardest, that cross-entropy looks at; 0 and 1 are all.
        """
        super().__init__(name="segmentation", reduction=None)
        self._weights, self._from_logits = weights.astype(np.float32), from_logits
        self._dice, self._lovasz, self._hard = dice, lovasz, hard

    def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
        """Compute the scalar loss."""
        y_pred = ops.cast(y_pred, "float32")
        truth = ops.one_hot(ops.cast(y_true, "int32"), len(self._weights))  # void becomes a row of zeros
        log = ops.log_softmax(y_pred) if self._from_logits else ops.log(y_pred + 1e-7)
        loss = self._entropy(truth, log)
        if self._dice or self._lovasz:
            guess = ops.exp(log) * ops.sum(truth, -1, keepdims=True)
        if self._dice:
            loss = loss + self._dice * dice_loss(truth, guess)
        if self._lovasz:
            loss = loss + self._lovasz * lovasz_softmax(truth, guess)
        return loss

    def _entropy(self, truth: keras.KerasTensor, log: keras.KerasTensor) -> keras.KerasTensor:
        weighted = truth * self._weights
        if 0 < self._hard < 1:
            kept = hardest(-ops.sum(truth * log, -1), ops.sum(truth), self._hard)
            weighted = weighted * ops.cast(kept, "float32")[..., None]
        return -ops.sum(weighted * log) / (ops.sum(weighted) + 1e-7)


def dice_loss(truth: keras.KerasTensor, guess: keras.KerasTensor) -> keras.KerasTensor:
    """One minus the mean Dice coefficient of the classes present.

    Args:
        truth: float (N, H, W, K), one-hot; zeros where void.
        guess: float (N, H, W, K), probabilities; zeros where void.

    Source: V-Net, Milletari et al. 2016.
    """
    axes = (0, 1, 2)
    there = ops.sum(truth, axes)
    overlap = (2 * ops.sum(guess * truth, axes) + 1) / (ops.sum(guess, axes) + there + 1)
    present = ops.cast(there > 0, "float32")
    return 1 - ops.sum(overlap * present) / (ops.sum(present) + 1e-7)


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
