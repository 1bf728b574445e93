"""Score a folder of predicted masks against a folder of label masks, from any tool."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.evaluation import Counts, Evaluation
from roadseg.evaluate.counting import count
from roadseg.evaluate.scores import evaluated
from roadseg.imaging.ignored import read_values, settled
from roadseg.imaging.masks import read_ids, read_label
from roadseg.imaging.pixels import Undecodable

T = TypeVar("T")
ENDING = re.compile(r"(_image|_label|_leftImg8bit|_gtFine_[A-Za-z0-9]+)$")
SKIPPED = "_inst_label"  # in IDD Lite a copy of the label
SHOWN = 5


def score_folders(predictions: Path, truth: Path, classes: ClassTable) -> Evaluation:
    """Count every label against its prediction, at the official size of the table.

    Args:
        predictions: a folder of PNG masks of class ids.
        truth: a folder of PNG masks as the table reads them, matched by relative path without endings, else by stem.
        classes: the table of both.

    Returns:
        An image's sample is its label's path, its drive the folder that the label is in, unless all are in one.

    Raises:
        UsageError: a folder is missing or empty.
        DataRefused: a partner is missing or ambiguous, or a file is no mask; names files.
    """
    matched = pairs(predictions, truth)
    classes = settled(classes, (_read(read_values, label, classes) for _, label in matched))
    names = [label.relative_to(truth) for _, label in matched]
    several = len({name.parent for name in names}) > 1
    rows = [{"sample": name.as_posix(), "drive": name.parent.as_posix() if several else None} for name in names]
    return evaluated(rows, Counts.stack((_count(*pair, classes) for pair in matched), classes))


def pairs(predictions: Path, truth: Path) -> list[tuple[Path, Path]]:
    """Match every label with one prediction, sorted by label; errors as in `score_folders`."""
    labels, guesses = _by_key(truth), _by_key(predictions)
    by_stem: dict[str, list[Path]] = {}
    for key, path in guesses.items():
        by_stem.setdefault(Path(key).name, []).append(path)
    matched, faults = [], []
    for key, label in sorted(labels.items()):
        found = [guesses[key]] if key in guesses else by_stem.get(Path(key).name, [])
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


def _by_key(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.png")):
        if path.stem.endswith(SKIPPED):
            continue
        key = path.relative_to(folder).with_name(ENDING.sub("", path.stem)).as_posix()
        if key in found:
            raise DataRefused(f"{path} and {found[key]} have the same name without endings; keep one")
        found[key] = path
    if not found:
        raise UsageError(f"{folder} holds no .png masks")
    return found


def _count(predicted: Path, labelled: Path, classes: ClassTable) -> Counts:
    guess = _read(read_ids, predicted, classes)  # what is outside the table is a wrong guess: void there costs
    label, outside = _read(read_label, labelled, classes)
    if outside:
        raise DataRefused(f"{labelled}: ids {', '.join(map(classes.written, outside))} are outside {classes.name}")
    return count(label, guess, classes)


def _read(reader: Callable[[Path, ClassTable], T], path: Path, classes: ClassTable) -> T:
    try:
        return reader(path, classes)
    except Undecodable as error:
        raise DataRefused(f"{path}: {error}") from None
