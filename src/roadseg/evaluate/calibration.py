"""Whether the model is right as often as it says, counted per image."""

import numpy as np

from roadseg.contracts.evaluation import BINS, UNIT


def reliability_counts(truth: np.ndarray, prediction: np.ndarray, confidence: np.ndarray, classes: int) -> np.ndarray:
    """Count pixels by confidence.

    Args:
        truth: uint8 (H, W); ids from `classes` upward are void and not counted.
        prediction: uint8 (H, W).
        confidence: float32 (H, W), 0..1, the probability given to the predicted class.
        classes: number of classes K.

    Returns:
        int64 (BINS, 3): pixels, right pixels, sum of confidences in units of 1/UNIT.
    """
    counted = truth < classes
    units = np.rint(confidence[counted] * UNIT).astype(np.int64)
    bins = np.minimum(units * BINS // UNIT, BINS - 1)
    right = prediction[counted] == truth[counted]
    sums = np.bincount(bins, units, BINS)  # of whole numbers below 2 ** 53: exact
    return np.stack([np.bincount(bins, minlength=BINS), np.bincount(bins[right], minlength=BINS), sums], 1).astype(
        np.int64
    )


def expected_calibration_error(reliability: np.ndarray) -> np.ndarray:
    """Mean distance between confidence and share of right pixels, over bins weighted by their pixels.

    Args:
        reliability: (..., BINS, 3), as `reliability_counts` returns it or sums of such.

    Returns:
        float64 (...), 0..1; NaN where nothing is counted.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, with its 15 equal bins.
    """
    pixels, right, units = np.moveaxis(reliability.astype(np.float64), -1, 0)
    total = pixels.sum(-1)
    gaps = np.abs(right - units / UNIT).sum(-1)
    return np.asarray(np.divide(gaps, total, out=np.full(total.shape, np.nan), where=total > 0))
