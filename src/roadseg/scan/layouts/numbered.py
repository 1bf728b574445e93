"""Numbered pairs: a folder with Image_<n>.png and one with Mask_<n>.png, as in the binary road set on Kaggle."""

import re
from pathlib import Path, PurePosixPath

from roadseg.imaging.pixels import SUFFIXES
from roadseg.scan.layouts.found import Files, Found, paired
from roadseg.scan.layouts.words import said
from roadseg.scan.not_data import files_in, picture_names

NUMBERED = re.compile(r"(image|mask)_(\d+)", re.IGNORECASE)


def matches(root: Path) -> bool:
    """Whether numbered images lie in one folder, numbered masks in one, and most pictures are they.

    Of several folders each would have numbers, a split or a drive of its own, which layout `folders` keeps.
    """
    found = _by_number(root)
    listed = [[path for paths in files.paths.values() for path in paths] for files in found]
    if not all(listed):
        return False
    places = [{PurePosixPath(path).parent for path in paths} for paths in listed]
    if any(len(each) > 1 or any(said(name).split for place in each for name in place.parts) for each in places):
        return False
    return 2 * sum(map(len, listed)) > len(picture_names(root))


def find(root: Path) -> list[Found]:
    """Every pair by its number: Image_10 sorts before Image_2; the data have neither drives nor a split."""
    return paired(*_by_number(root))


def _by_number(root: Path) -> tuple[Files, Files]:
    files = {"image": Files(), "mask": Files()}
    for path in files_in(root):
        pure = PurePosixPath(path)
        named = NUMBERED.fullmatch(pure.stem)
        if named and pure.suffix.lower() in SUFFIXES:
            files[named[1].lower()].add(path, None, None, str(int(named[2])), whole=True)
    return files["image"], files["mask"]
