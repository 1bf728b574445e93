"""What the name of a folder or of a list says: of which split it is, and whether images or masks are in it."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from roadseg.scan.layouts.names import folded

Role = Literal["image", "mask", "other"]

SPLITS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
    **dict.fromkeys(("trainval", "trainvalidation"), "trainval"),
    "trainvaltest": "",
}
IMAGES = {"images", "image", "imgs", "img", "rgb", "leftimg8bit", "jpegimages", "photos", "frames", "input"}
IMAGES |= {"inputs", "pictures", "sat"}
MASKS = {"masks", "mask", "labels", "label", "annotations", "annotation", "annot", "annots", "gtfine", "gtcoarse"}
MASKS |= {"gt", "groundtruth", "segmentationclass", "segmentation", "semantic", "sem", "seg", "targets", "target"}
MASKS |= {"ids", "labelids", "ann"}
PAINTED = {"color", "colors", "colour", "colours", "colormap", "colormaps", "rgb", "vis", "visualization"}
OTHER = {"instance", "instances", "panoptic", "object", "objects", "depth", "disparity", "lidar", "velodyne"}
OTHER |= {"calib", "flow"}
FILLERS = {"set", "sets", "data", "dataset", "split", "splits", "list", "lists", "files", "archive", "original"}
FILLERS |= {"raw", "prepped", "png", "jpg", "class", "camera"}
ROLES: dict[Role, set[str]] = {"other": OTHER, "mask": MASKS, "image": IMAGES}  # of two that are named the first
_BETWEEN = r"[_\-. +]*"
_WORD = "|".join(sorted({*SPLITS, *IMAGES, *MASKS, *PAINTED, *OTHER, *FILLERS}, key=len, reverse=True))
_YEAR = r"(?:19|20)\d\d(?!\d)"
_WHOLE = re.compile(rf"(?:(?:{_WORD}|{_YEAR}|\d+(?![\da-z])){_BETWEEN})+")
_TOKENS = re.compile(rf"{_WORD}|{_YEAR}|\d+")
_PIECES = re.compile(r"[_\-. +]+")


@dataclass(frozen=True)
class Said:
    """What a name says.

    Attributes:
        split: train, val, test, or trainval for one that is still to be cut; None where it says nothing of it.
        role: what is in the folder; None where it says nothing of it.
        painted: whether its masks are said to be colours.
        rest: what more it says, as a drive does: `train_north` whole, the number of `image_2`.
    """

    split: str | None
    role: Role | None
    painted: bool
    rest: str


@cache
def said(name: str) -> Said:
    """Read a name, in any letters: `train`, `valset`, `val2014`, `train_labels`, `trainannot`, `test_north`."""
    spelled = folded(name)
    if not _WHOLE.fullmatch(spelled):
        pieces = [piece.rstrip("0123456789") for piece in _PIECES.split(spelled)]
        return Said(_split([piece for piece in pieces if piece in SPLITS]), None, False, name)
    words = _TOKENS.findall(spelled)
    split, role = _split(words), _role(words)
    number = "-".join(word for word in words if word.isdigit() and not re.fullmatch(_YEAR, word))
    rest = number if role else name if number or not split else ""
    return Said(split, role, not PAINTED.isdisjoint(words), rest)


def _split(words: list[str]) -> str | None:
    named = {SPLITS[word] for word in words if word in SPLITS}
    if named == {"train", "val"}:
        return "trainval"
    return (named.pop() or None) if len(named) == 1 else None


def _role(words: list[str]) -> Role | None:
    return next((role for role, kind in ROLES.items() if not kind.isdisjoint(words)), None)
