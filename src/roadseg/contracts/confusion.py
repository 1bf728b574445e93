"""The confusion matrix and the official IDD score."""

import numpy as np


def confusion(truth: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Count pixels by true and predicted class.

    Args:
        truth: uint8 (H, W); ids from `classes` upward are void and not counted.
        prediction: uint8 (H, W); void here costs, as in the official score.
        classes: number of classes K, void not among them.

    Returns:
        int64 (K, K + 1), pixels; [t, p] is class t predicted as p, column K void.

    Raises:
        ValueError: the shapes differ.

    Source: the IDD authors' evaluation, AutoNUE/public-code.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth is {truth.shape} and prediction {prediction.shape}: resize one first")
    counted = truth < classes
    column = np.minimum(prediction[counted], classes)
    cell = truth[counted].astype(np.int64) * (classes + 1) + column  # uint8 would wrap
    return np.bincount(cell, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def iou(matrix: np.ndarray) -> np.ndarray:
    """Intersection over union of each class.

    Args:
        matrix: (..., K, K + 1), pixels, as `confusion` returns it or sums of such.

    Returns:
        float64 (..., K), 0..1; NaN for a class absent from truth and prediction.

    Source: the IDD authors' evaluation: TP / (TP + FP + FN), the void column counts as FN, the void row nowhere.
    """
    classes = matrix[..., :-1].astype(np.float64)
    hit = np.diagonal(classes, axis1=-2, axis2=-1)
    union = matrix.sum(-1) + classes.sum(-2) - hit
    return np.asarray(np.divide(hit, union, out=np.full(hit.shape, np.nan), where=union > 0))


def mean_iou(matrix: np.ndarray) -> float:
    """Mean of `iou` over the classes that occur, 0..1; NaN where none does."""
    values = iou(matrix)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
