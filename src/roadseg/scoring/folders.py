"""Score a folder of predicted masks against a folder of label masks, from any tool."""

from pathlib import Path, PurePosixPath

import numpy as np

from roadseg.contracts.classes import VOID, ClassTable
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.evaluation import Counts, Evaluation
from roadseg.evaluate.counting import count
from roadseg.evaluate.scores import evaluated
from roadseg.imaging.ignored import read_values, settled
from roadseg.imaging.masks import decode_mask, read_classes, read_label, to_classes
from roadseg.imaging.pixels import Undecodable, naming, read_bytes
from roadseg.scan.layouts.folders import Placed
from roadseg.scan.layouts.names import is_instances, key
from roadseg.scan.not_data import files_in

ENDINGS = {".png", ".tif", ".tiff", ".bmp"}  # a JPEG changes ids
SHOWN = 5
Key = tuple[str | None, ...]  # split and drive, and the name as `names.key` has it


def score_folders(predictions: Path, truth: Path, classes: ClassTable) -> Evaluation:
    """Count every label against its prediction, at the official size of the table.

    Args:
        predictions: folder of masks of class ids, 0 to K-1, as `predict` writes them, or in the table's colours.
        truth: folder of label masks; what they store is what the table says. They are matched by path, as an import
            matches images and masks, else by name.
        classes: the table.

    Returns:
        An image's sample is its label's path, its drive the folder that the label is in, unless all are in one.

    Raises:
        UsageError: a folder is missing or empty.
        DataRefused: a partner is missing or ambiguous, or a file is no mask; names files.
    """
    matched = pairs(predictions, truth)
    classes = settled(classes, (read_values(label, classes) for _, label in matched))
    names = [label.relative_to(truth) for _, label in matched]
    several = len({name.parent for name in names}) > 1
    rows = [{"sample": name.as_posix(), "drive": name.parent.as_posix() if several else None} for name in names]
    return evaluated(rows, Counts.stack((_count(*pair, classes) for pair in matched), classes))


def pairs(predictions: Path, truth: Path) -> list[tuple[Path, Path]]:
    """Match every label with one prediction, sorted by label; errors as in `score_folders`."""
    labels, guesses = _by_key(truth), _by_key(predictions)
    by_stem: dict[str | None, list[Path]] = {}
    for each, path in guesses.items():
        by_stem.setdefault(each[-1], []).append(path)
    matched, faults = [], []
    for each, label in sorted(labels.items(), key=lambda item: item[1]):
        found = [guesses[each]] if each in guesses else by_stem.get(each[-1], [])
        if len(found) == 1:
            matched.append((found[0], label))
        else:
            faults.append(f"{label}: {'no prediction' if not found else f'{len(found)} predictions'} in {predictions}")
    doubled = len(matched) - len({predicted for predicted, _ in matched})
    if doubled:
        faults.append(f"{predictions}: {doubled} predictions fit several labels; keep the labels' folders")
    if faults:
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise DataRefused("; ".join(faults[:SHOWN]) + more)
    return matched


def read_guess(path: Path, classes: ClassTable) -> np.ndarray:
    """Read a prediction: uint8 (H, W), class ids and 255 for void.

    255 is what the table's `values` say, which may be the road; another id from K upward is void: a wrong guess.

    Raises:
        Undecodable: no mask, or one that holds nothing of the table.
    """
    with naming(path):
        try:
            stored = decode_mask(read_bytes(path))
        except Undecodable:
            if classes.source == "id":
                raise
        else:
            return _as_classes(stored, classes)
    return read_classes(path, classes)[0]  # painted


def _as_classes(stored: np.ndarray, classes: ClassTable) -> np.ndarray:
    own, _ = to_classes(stored, classes)
    known = stored < classes.count
    outside = ~known & (stored != VOID)
    if outside.any() and not known.any() and not (own[stored == VOID] < classes.count).any():
        ids = ", ".join(map(str, np.unique(stored[outside])[:SHOWN]))
        raise Undecodable(
            f"holds ids {ids} and none of 0 to {classes.count - 1}: a prediction has the class ids of {classes.name}, "
            "not its `values`"
        )
    return np.where(known, stored, np.where(stored == VOID, own, VOID)).astype(np.uint8)


def _by_key(folder: Path) -> dict[Key, Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    found: dict[Key, Path] = {}
    for name in map(PurePosixPath, files_in(folder)):
        if name.suffix.lower() not in ENDINGS or is_instances(name.stem):
            continue
        each, path = (*Placed.of(name.as_posix()).place, key(name.stem)), folder / name
        if each in found:
            raise DataRefused(f"{path} and {found[each]} have the same name without endings; keep one")
        found[each] = path
    if not found:
        raise UsageError(f"{folder} holds no .png masks (or .tif, .tiff, .bmp)")
    return found


def _count(predicted: Path, labelled: Path, classes: ClassTable) -> Counts:
    guess = read_guess(predicted, classes)
    label, outside = read_label(labelled, classes)
    if outside:
        raise DataRefused(f"{labelled}: ids {', '.join(map(classes.written, outside))} are outside {classes.name}")
    return count(label, guess, classes)
