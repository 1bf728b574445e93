"""Made label errors, of the kinds that Lad and Mueller make and one more, so that it is known which labels are wrong.

Source of drop, swap and shift: V. Lad and J. Mueller, "Estimating label quality and errors in semantic segmentation
data via any model", 2023, https://arxiv.org/abs/2307.05080.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage

AREA = (0.01, 0.25)  # of the image: what is relabelled
SHIFT = 0.08  # of the width and height
LEAST = 0.005  # of the image: an error that changes less is none

Rng = np.random.Generator


def swap(mask: np.ndarray, other: np.ndarray, classes: int, rng: Rng) -> np.ndarray | None:
    """One area gets another class of the table."""
    if (area := _area(mask, classes, rng)) is None:
        return None
    wrong = mask.copy()
    wrong[area] = rng.choice(np.setdiff1d(np.arange(classes), mask[area][:1]))
    return wrong


def drop(mask: np.ndarray, other: np.ndarray, classes: int, rng: Rng) -> np.ndarray | None:
    """One area gets the class that most of its outline touches, as where an annotator has overlooked it."""
    if (area := _area(mask, classes, rng)) is None:
        return None
    around = mask[ndimage.binary_dilation(area, iterations=2) & ~area]
    if not (around < classes).any():
        return None
    wrong = mask.copy()
    wrong[area] = np.bincount(around[around < classes]).argmax()
    return wrong


def shift(mask: np.ndarray, other: np.ndarray, classes: int, rng: Rng) -> np.ndarray | None:
    """All of it lies beside the image's content; what comes in repeats the outline."""
    steps = [round(SHIFT * side) * int(rng.choice((-1, 1))) for side in mask.shape]
    rows, columns = (np.clip(np.arange(side) + step, 0, side - 1) for side, step in zip(mask.shape, steps, strict=True))
    return np.asarray(mask[np.ix_(rows, columns)])


def mistake(mask: np.ndarray, other: np.ndarray, classes: int, rng: Rng) -> np.ndarray | None:
    """The label of another image."""
    return None if mask.shape != other.shape else other.copy()


ERRORS: dict[str, Callable[[np.ndarray, np.ndarray, int, Rng], np.ndarray | None]] = {
    "drop": drop,
    "swap": swap,
    "shift": shift,
    "mistake": mistake,
}


def wrong_labels(
    labels: Sequence[np.ndarray], classes: int, share: float, seed: int
) -> dict[int, tuple[str, np.ndarray]]:
    """Make a share of labels wrong, the kinds in turn.

    Args:
        labels: uint8 (H, W) each, ids.
        classes: number of classes K.
        share: of the labels, 0..1.
        seed: of the draw.

    Returns:
        Kind and wrong label by position; a label that its kind cannot change stays as it is.
    """
    rng, kinds, made = np.random.default_rng(seed), list(ERRORS), {}
    for turn, number in enumerate(rng.permutation(len(labels))[: round(share * len(labels))].tolist()):
        kind, label = kinds[turn % len(kinds)], labels[number]
        wrong = ERRORS[kind](label, labels[int(rng.integers(len(labels)))], classes, rng)
        if wrong is not None and (wrong != label).mean() >= LEAST:
            made[number] = (kind, wrong)
    return made


def _area(mask: np.ndarray, classes: int, rng: Rng) -> np.ndarray | None:
    """Bool (H, W), one connected area of one class, of a size within `AREA`; None where there is none."""
    for number in rng.permutation(classes):
        parts, count = ndimage.label(mask == number)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:] / mask.size
        fitting = 1 + np.flatnonzero((sizes >= AREA[0]) & (sizes <= AREA[1]))
        if len(fitting):
            return np.asarray(parts == rng.choice(fitting))
    return None
