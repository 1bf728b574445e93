"""Numbered pairs: any two folders with Image_<n>.png and Mask_<n>.png, as in the binary road set on Kaggle."""

import re
from pathlib import Path

from roadseg.imaging.pixels import SUFFIXES
from roadseg.scan.layouts.found import Found, Key, paired

NUMBERED = re.compile(r"(image|mask)_(\d+)", re.IGNORECASE)


def matches(root: Path) -> bool:
    """Whether there are numbered images and numbered masks."""
    return all(_by_number(root))


def find(root: Path) -> list[Found]:
    """Every pair by its number: Image_10 sorts before Image_2; the data have neither drives nor a split."""
    return paired(*_by_number(root))


def _by_number(root: Path) -> tuple[dict[Key, list[str]], dict[Key, list[str]]]:
    files: dict[str, dict[Key, list[str]]] = {"image": {}, "mask": {}}
    for path in sorted(root.rglob("*")):
        named = NUMBERED.fullmatch(path.stem)
        if named and path.suffix.lower() in SUFFIXES and path.is_file():
            key = (None, None, str(int(named[2])))
            files[named[1].lower()].setdefault(key, []).append(path.relative_to(root).as_posix())
    return files["image"], files["mask"]
