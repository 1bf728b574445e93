"""Which split a sample belongs to: as the data say, as lists say, or made so that no drive is in two."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.scan.layouts.found import Found
from roadseg.scan.layouts.words import said
from roadseg.scan.lists import Index, listed, lists_in, table_of_splits

How = Literal["auto", "folders", "lists", "drive"]

NUMBER = re.compile(r"\d+$")
BLOCKS = (50, 10, 1)  # neighbours in number are neighbours in time; smaller where val would be less than one block


@dataclass(frozen=True)
class Shares:
    """How a split is made; equal seeds and drives give equal splits."""

    val: float
    test: float
    seed: int


def assign_splits(
    found: list[Found], root: Path, how: How, made: Shares, decided: Mapping[str, str] | None = None
) -> list[Found]:
    """Give every sample a split.

    Args:
        found: the samples; their split is None where no folder names it.
        root: the data's folder, for lists.
        how: `folders` as found, `lists` by train.txt, val.txt, test.txt, `drive` made; `auto` is the first that fits.
        made: for `drive`.
        decided: splits by `unit_of`, which go before all of these; they move no other drive.

    Returns:
        The samples with splits; with lists, only those that are listed or decided.

    Raises:
        UsageError: the data have no folders or no lists of that kind.
        DataRefused: a list and the data disagree.
    """
    decided = decided or {}
    own = [replace(one, split=decided[unit_of(one)]) for one in found if unit_of(one) in decided]
    if not own:
        return _assigned(found, root, how, made, decided)
    others = [] if len(own) == len(found) else _assigned(found, root, how, made, decided)
    kept = [one for one in others if unit_of(one) not in decided]
    return sorted([*own, *kept], key=lambda one: one.sample)


def unit_of(one: Found) -> str:
    """What data/splits.csv calls a sample: its drive, or its id where it has none."""
    return one.drive or one.id


def _assigned(found: list[Found], root: Path, how: How, made: Shares, decided: Mapping[str, str]) -> list[Found]:
    """By folders, lists or made; those that are decided take part, so that no other moves, and may lack a folder."""
    loose = [one for one in found if one.split is None]
    if how == "auto":
        how = "folders" if len(loose) < len(found) else _said(root, found)
    if how == "lists":
        lists = lists_in(root)
        if "trainval" not in lists and ("train" not in lists or len(lists) == 1):
            raise UsageError(f"scan.split: lists: {root} holds no train.txt and val.txt or test.txt (.lst, .csv)")
        return _by_lists(found, lists, made)
    if how == "drive":
        if all(one.split == "test" for one in found):
            raise DataRefused(f"{root}: every sample is in a folder that is called test; rename it")
        return make(found, made)
    if loose := [one for one in loose if unit_of(one) not in decided]:
        first = root / (loose[0].image or loose[0].mask or "")
        if all(one.split is None for one in found):
            raise UsageError(f"scan.split: folders: {first} is in no folder of a split; use drive or lists")
        raise DataRefused(
            f"{first} is in no folder of a split, as others are: move it, or set scan.split to drive or lists"
        )
    return found


def _said(root: Path, found: list[Found]) -> Literal["lists", "drive"]:
    """Where folders name no split: by lists, or made where nothing beside the data says otherwise."""
    lists = lists_in(root)
    if "trainval" in lists or ("train" in lists and len(lists) > 1):
        return "lists"
    unread = next(iter(lists.values()), None) or table_of_splits(root)
    if unread:
        raise DataRefused(
            f"{unread}: says something of a split, but no lists say all of it; write train.txt and val.txt with a path "
            "on each line, or set scan.split to drive in params.yaml to have a split made"
        )
    named = {said(one.id).split: one for one in found}
    if None not in named and len(named) > 1:
        shown = ", ".join(sorted(one.image or one.mask or "" for one in named.values()))
        raise DataRefused(
            f"{root}: the names say of which split they are ({shown}); import with patterns that have {{split}} there, "
            "as 'images/{split}_{id}.png', or set scan.split to drive in params.yaml to have a split made"
        )
    return "drive"


def make(found: list[Found], shares: Shares) -> list[Found]:
    """Split by drive, or by block of numbers where there are no drives; what folders call test stays test.

    A drive's place depends on its name and the seed alone, so adding drives moves none, except where val or train
    would be empty: with two drives or more neither is.
    """
    kept = [one for one in found if one.split == "test"]
    free = [one for one in found if one.split != "test"]
    unit_of = _units(free, shares.val)
    place = {unit: _place(unit, shares.seed) for unit in set(unit_of)}
    bounds = (shares.val, shares.val + shares.test)
    split = {unit: "val" if at < bounds[0] else "test" if at < bounds[1] else "train" for unit, at in place.items()}
    if len(place) > 1:
        first, *_, last = sorted(place, key=lambda unit: (place[unit], unit))
        split[first] = "val" if shares.val else split[first]
        split[last] = "train"
    return kept + [replace(one, split=split[unit]) for one, unit in zip(free, unit_of, strict=True)]


def _units(found: list[Found], val: float) -> list[str]:
    for size in BLOCKS:
        units = [f"drive {one.drive}" if one.drive else f"block {_block(one.id, size)}" for one in found]
        if (number := len(set(units))) > 1 and (not val or number * val >= 1):
            break
    return units


def _block(name: str, size: int) -> str:
    number = NUMBER.search(name)
    return f"{name[: number.start()]}{int(number[0]) // size}" if number else name


def _place(unit: str, seed: int) -> float:
    digest = hashlib.sha256(f"{seed}\n{unit}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _by_lists(found: list[Found], lists: dict[str, Path], made: Shares) -> list[Found]:
    """Only what is listed; val is made of train where no list names it."""
    index, split_of = Index.of(found), dict[int, str]()
    named = {
        split: path for split, path in lists.items() if split != "trainval" or not {"train", "val"} <= lists.keys()
    }
    for split, path in sorted(named.items(), key=lambda item: item[0] == "trainval"):
        for number, line in listed(path, index).items():
            if split == "trainval" and split_of.get(number) in {"train", "val"}:
                continue
            if split_of.setdefault(number, split) != split:
                there = named[split_of[number]].name
                raise DataRefused(f"{path}: {line!r} stands in {there} too, so scores would leak")
    if "trainval" in named and "train" not in named and "val" in named:
        split_of = {number: split.removesuffix("val") or split for number, split in split_of.items()}
    placed = [replace(found[number], split=split) for number, split in sorted(split_of.items())]
    if "val" in named:
        return placed
    print(f"scan: no list names val: it is made of {' and '.join(str(p) for s, p in named.items() if s != 'test')}")
    free = [one for one in placed if one.split != "test"]
    return [one for one in placed if one.split == "test"] + make(free, replace(made, test=0.0))
