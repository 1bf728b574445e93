"""Where a model is sure that a label is wrong: over an area, not along an outline."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from roadseg.evaluate.boundary import TOLERANCE

DOUBT = 0.02  # probability of the given class below which a label is disputed
MIN_SHARE = 0.001  # of the image: pixels of an area that lie away from outlines


@dataclass(frozen=True)
class Dispute:
    """An area whose label a model disputes.

    Attributes:
        given, predicted: ids of the classes, of the pair that most of its pixels have.
        share: its part of the labelled pixels of the image, 0..1.
        confidence: mean probability of the predicted class where it has that pair, 0..1.
        box: x0, y0, x1, y1 in pixels of the label, the last two exclusive.
    """

    given: int
    predicted: int
    share: float
    confidence: float
    box: tuple[int, int, int, int]


def disputed_areas(label: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Number the connected areas in which the given class is all but ruled out.

    Outlines are always off by a pixel or two, so an area needs pixels that are away from those of the label; what has
    them counts whole.

    Args:
        label: uint8 (H, W); ids from K upward are void and not disputed.
        probabilities: float32 (H, W, K), 0..1.

    Returns:
        int (H, W), areas from 1, 0 elsewhere.

    Sources: the probability of the given class as measure, Northcutt et al., "Confident Learning", JAIR 70, 2021, and
    Lad and Mueller, "Estimating label quality and errors in semantic segmentation data via any model", 2023. The
    threshold and the areas were chosen with benchmarks/labels.py, which compares measures on made errors.
    """
    last = probabilities.shape[-1] - 1
    given = np.take_along_axis(probabilities, np.minimum(label, last)[..., None].astype(np.intp), -1)[..., 0]
    areas, count = ndimage.label((label <= last) & (given < DOUBT))
    inside = np.bincount(areas[~near_outlines(label)], minlength=count + 1)
    kept = inside >= MIN_SHARE * label.size
    kept[0] = False
    return np.asarray(np.where(kept, np.cumsum(kept), 0)[areas])


def describe_areas(areas: np.ndarray, label: np.ndarray, probabilities: np.ndarray) -> list[Dispute]:
    """Describe areas, the largest first.

    Args:
        areas: what `disputed_areas` returned.
        label, probabilities: what it was given.
    """
    classes, labelled = probabilities.shape[-1], np.count_nonzero(label < probabilities.shape[-1])
    found = []
    for number, place in enumerate(ndimage.find_objects(areas), 1):
        here = areas[place] == number
        given, sure = label[place][here], probabilities[place][here]
        pairs = given.astype(np.intp) * classes + sure.argmax(-1)
        common = int(np.bincount(pairs).argmax())
        y, x = place
        found.append(
            Dispute(
                given=common // classes,
                predicted=common % classes,
                share=len(given) / labelled,
                confidence=float(sure.max(-1)[pairs == common].mean(dtype=np.float64)),
                box=(x.start, y.start, x.stop, y.stop),
            )
        )
    return sorted(found, key=lambda dispute: -dispute.share)


def near_outlines(label: np.ndarray) -> np.ndarray:
    """Bool (H, W): a pixel of another class, or void, is as near as outlines may differ."""
    window = 2 * max(1, int(TOLERANCE * math.hypot(*label.shape))) + 1
    return np.asarray(ndimage.maximum_filter(label, window) != ndimage.minimum_filter(label, window))
