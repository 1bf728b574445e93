"""From a pair of masks to everything that is kept of it."""

import numpy as np

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.confusion import confusion
from roadseg.contracts.evaluation import BINS, Counts
from roadseg.evaluate.boundary import boundary_counts
from roadseg.evaluate.calibration import reliability_counts
from roadseg.evaluate.scores import at_size, official_size
from roadseg.imaging.pixels import resize_mask


def count(
    truth: np.ndarray, prediction: np.ndarray, classes: ClassTable, confidence: np.ndarray | None = None
) -> Counts:
    """Count one image at the official size of its table.

    Args:
        truth: uint8 (H, W); ids from K upward are void.
        prediction: uint8 (h, w), any size.
        classes: the table of both.
        confidence: float32 (h, w), 0..1, where known.
    """
    size = official_size(classes, truth)
    truth, prediction = at_size(truth, prediction, size)
    reliability = np.zeros((BINS, 3), np.int64)
    if confidence is not None:
        reliability = reliability_counts(truth, prediction, resize_mask(confidence, *size), classes.count)
    boundary = boundary_counts(truth, prediction, classes.count)
    return Counts(confusion(truth, prediction, classes.count), boundary, reliability, classes)
