"""Figures of confusion matrices and boundary counts; each takes leading axes, as of images or resamples."""

import numpy as np

from roadseg.contracts.confusion import iou


def mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis without NaN, as `mean_iou` takes it; NaN where nothing is left."""
    there = np.isfinite(values)
    return _ratio(np.where(there, values, 0).sum(-1), there.sum(-1))


def dice(matrix: np.ndarray) -> np.ndarray:
    """2 TP / (2 TP + FP + FN) of each class, (..., K, K + 1) to (..., K); NaN where absent from both masks."""
    return _ratio(2 * _hits(matrix), matrix.sum(-1) + matrix[..., :-1].sum(-2))


def precision(matrix: np.ndarray) -> np.ndarray:
    """TP / (TP + FP) of each class, (..., K, K + 1) to (..., K); NaN where absent from both masks.

    A class that is there and never predicted has 0: left out, it would make the mean of a model that forgets it better.
    """
    return _of_those_that_occur(_ratio(_hits(matrix), matrix[..., :-1].sum(-2)), matrix)


def recall(matrix: np.ndarray) -> np.ndarray:
    """TP / (TP + FN) of each class, (..., K, K + 1) to (..., K); NaN where absent from both, 0 where only predicted."""
    return _of_those_that_occur(_ratio(_hits(matrix), matrix.sum(-1)), matrix)


def accuracy(matrix: np.ndarray) -> np.ndarray:
    """Share of the counted pixels that are right, (..., K, K + 1) to (...); NaN where none is counted."""
    return _ratio(_hits(matrix).sum(-1), matrix.sum((-2, -1)))


def shares(matrix: np.ndarray) -> np.ndarray:
    """Share of each class's true pixels by prediction, 0..1, (..., K, K + 1) to the same; 0 for a class without any."""
    return np.asarray(np.nan_to_num(_ratio(matrix, matrix.sum(-1, keepdims=True))))


def frequency_weighted_iou(matrix: np.ndarray) -> np.ndarray:
    """Mean IoU weighted by the classes' pixels in the truth, (..., K, K + 1) to (...); NaN where none is counted.

    Source: Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015.
    """
    pixels = matrix.sum(-1)
    return _ratio((np.nan_to_num(iou(matrix)) * pixels).sum(-1), pixels.sum(-1))


def boundary_f(boundary: np.ndarray) -> np.ndarray:
    """F-score of each class's boundary, (..., K, 4) to (..., K); NaN where neither mask has one.

    Args:
        boundary: what `boundary_counts` returns, or sums of such.
    """
    predicted, near_true, true, near_predicted = np.moveaxis(boundary.astype(np.float64), -1, 0)
    exact, found = np.nan_to_num(_ratio(near_true, predicted)), np.nan_to_num(_ratio(near_predicted, true))
    score = np.nan_to_num(_ratio(2 * exact * found, exact + found))
    return np.where(predicted + true > 0, score, np.nan)


def _hits(matrix: np.ndarray) -> np.ndarray:
    return np.diagonal(matrix[..., :-1], axis1=-2, axis2=-1).astype(np.float64)


def _of_those_that_occur(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    occurs = matrix.sum(-1) + matrix[..., :-1].sum(-2) > 0
    return np.where(occurs, np.nan_to_num(values), np.nan)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    part = np.asarray(part, np.float64)
    return np.asarray(np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0))
