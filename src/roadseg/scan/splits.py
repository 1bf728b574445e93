"""Which split a sample belongs to: as the data say, as lists say, or made so that no drive is in two."""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.manifest import SPLITS
from roadseg.imaging.pixels import SUFFIXES
from roadseg.scan.layouts.found import ENDING, Found

LISTS = ("", "ImageSets/Segmentation")  # where train.txt, val.txt and test.txt stand
NUMBER = re.compile(r"\d+$")
BLOCKS = (50, 10, 1)  # neighbours in number are neighbours in time; smaller where one block would hold all


@dataclass(frozen=True)
class Shares:
    """How a split is made; equal seeds and drives give equal splits."""

    val: float
    test: float
    seed: int


def assign_splits(
    found: list[Found], root: Path, how: Literal["auto", "folders", "lists", "drive"], made: Shares
) -> list[Found]:
    """Give every sample a split.

    Args:
        found: the samples; their split is None where no folder names it.
        root: the data's folder, for lists.
        how: `folders` as found, `lists` by train.txt, val.txt, test.txt, `drive` made; `auto` is the first that fits.
        made: for `drive`.

    Returns:
        The samples with splits; with lists, only those that are listed.

    Raises:
        UsageError: the data have no folders or no lists of that kind.
        DataRefused: a list and the data disagree.
    """
    loose = [one for one in found if one.split is None]
    lists = _lists(root)
    if how == "auto":
        how = "folders" if len(loose) < len(found) else "lists" if lists else "drive"
    if how == "lists":
        if not lists:
            raise UsageError(f"scan.split: lists: {root} holds no train.txt and val.txt, also not in {LISTS[1]}")
        return _by_lists(found, lists)
    if how == "drive":
        return make(found, made)
    if loose:
        first = root / (loose[0].image or loose[0].mask or "")
        if len(loose) == len(found):
            raise UsageError(f"scan.split: folders: {first} is in no folder of a split; use drive or lists")
        raise DataRefused(
            f"{first} is in no folder of a split, as others are: move it, or set scan.split to drive or lists"
        )
    return found


def make(found: list[Found], shares: Shares) -> list[Found]:
    """Split by drive, or by block of numbers where there are no drives; what folders call test stays test.

    A drive's place depends on its name and the seed alone, so adding drives moves none, except where val or train
    would be empty: with two drives or more neither is.
    """
    kept = [one for one in found if one.split == "test"]
    free = [one for one in found if one.split != "test"]
    unit_of = _units(free)
    place = {unit: _place(unit, shares.seed) for unit in set(unit_of)}
    bounds = (shares.val, shares.val + shares.test)
    split = {unit: "val" if at < bounds[0] else "test" if at < bounds[1] else "train" for unit, at in place.items()}
    if len(place) > 1:
        first, *_, last = sorted(place, key=lambda unit: (place[unit], unit))
        split[first] = "val" if shares.val else split[first]
        split[last] = "train"
    return kept + [replace(one, split=split[unit]) for one, unit in zip(free, unit_of, strict=True)]


def _units(found: list[Found]) -> list[str]:
    for size in BLOCKS:
        units = [f"drive {one.drive}" if one.drive else f"block {_block(one.id, size)}" for one in found]
        if len(set(units)) > 1:
            break
    return units


def _block(name: str, size: int) -> str:
    number = NUMBER.search(name)
    return f"{name[: number.start()]}{int(number[0]) // size}" if number else name


def _place(unit: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}\n{unit}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _lists(root: Path) -> dict[str, Path]:
    for folder in LISTS:
        there = {
            split: root / folder / f"{split}.txt" for split in SPLITS if (root / folder / f"{split}.txt").is_file()
        }
        if {"train", "val"} <= there.keys():
            return there
    return {}


def _by_lists(found: list[Found], lists: dict[str, Path]) -> list[Found]:
    names: dict[str, set[int]] = {}
    for number, one in enumerate(found):
        for name in _names(one):
            names.setdefault(name, set()).add(number)
    split_of: dict[int, str] = {}
    for split, path in lists.items():
        for line in _lines(path):
            fits = names.get(_bare(line)) or names.get(_bare(line.split()[0]), set())
            if len(fits) != 1:
                raise DataRefused(f"{path}: {line!r} names {len(fits) or 'no'} samples; give the path of one")
            (number,) = fits
            if split_of.setdefault(number, split) != split:
                raise DataRefused(f"{path}: {line!r} stands in {split_of[number]}.txt too, so scores would leak")
    return [replace(found[number], split=split) for number, split in sorted(split_of.items())]


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DataRefused(f"{path} is no text in UTF-8 ({error})") from None


def _names(one: Found) -> set[str]:
    """What a list may call a sample: its paths, the ends of them, its id."""
    names = {one.id, f"{one.drive}/{one.id}" if one.drive else one.id}
    for path in filter(None, (one.image, one.mask)):
        parts = PurePosixPath(_bare(path)).parts
        names |= {"/".join(parts[start:]) for start in range(len(parts))}
    return names


def _bare(path: str) -> str:
    pure = PurePosixPath(path.strip("/"))
    stem = pure.stem if pure.suffix.lower() in SUFFIXES | {".json"} else pure.name
    return pure.with_name(ENDING.sub("", stem)).as_posix()
