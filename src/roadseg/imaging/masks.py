"""The one door from any label file to class ids."""

from pathlib import Path

import numpy as np

from roadseg.contracts.classes import VOID, ClassTable
from roadseg.imaging.pixels import Undecodable, open_picture

ID_MODES = {"L", "P", "1", "I;16", "I"}  # P: the palette only paints, the index is the id


def read_classes(path: Path, classes: ClassTable) -> tuple[np.ndarray, list[int]]:
    """Decode a label file to classes: `to_classes` of `read_mask`.

    Raises:
        Undecodable: see `read_mask`.
    """
    return to_classes(read_mask(path), classes)


def read_mask(path: Path) -> np.ndarray:
    """Decode a label file to its stored ids, uint8 (H, W), unchecked.

    Raises:
        Undecodable: not whole, not one channel, or an id over 255.
    """
    picture = open_picture(path)
    if picture.mode not in ID_MODES:
        raise Undecodable(f"has mode {picture.mode}: a mask has one channel of class ids, not colours")
    stored = np.asarray(picture)
    if stored.max(initial=0) > VOID or stored.min(initial=0) < 0:
        raise Undecodable(f"holds ids from {stored.min()} to {stored.max()}, outside 0..255")
    return stored.astype(np.uint8)


def to_classes(stored: np.ndarray, classes: ClassTable) -> tuple[np.ndarray, list[int]]:
    """Map stored ids to classes.

    Args:
        stored: uint8 (H, W) as `read_mask` gives it.
        classes: the table they belong to.

    Returns:
        uint8 (H, W) with 0..K-1 and 255 for void, and the ids that are neither, sorted; those
        become void, so who may not lose pixels looks at them.
    """
    table = np.full(256, VOID, np.uint8)
    table[: classes.count] = np.arange(classes.count)
    present = np.flatnonzero(np.bincount(stored.ravel(), minlength=256))
    outside = sorted(set(present.tolist()) - set(range(classes.count)) - set(classes.void))
    return table[stored], outside
