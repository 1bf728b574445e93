"""Two folders of any data set: images/ and masks/ (or labels/, annotations/, ...), with splits and drives or without.

`images/<split>/<drive>/<id>.jpg` and `<split>/images/<id>.jpg` are both read: the folder named as a split is the
split, the other folders are the drive.
"""

from pathlib import Path, PurePosixPath

from roadseg.imaging.pixels import SUFFIXES
from roadseg.scan.layouts.found import ENDING, INSTANCES, SPLIT_NAMES, Found, Key, paired

IMAGES = {"images", "image", "imgs", "img", "rgb", "leftimg8bit", "jpegimages", "photos", "frames", "input"}
MASKS = {"masks", "mask", "labels", "label", "annotations", "annotation", "gtfine", "gt", "groundtruth"}
MASKS |= {"segmentationclass", "semantic", "seg", "targets", "ids"}


def matches(root: Path) -> bool:
    """Whether an image in a folder of images has a mask of its name in a folder of masks."""
    images, masks = _by_key(root)
    return bool(images.keys() & masks.keys())


def find(root: Path) -> list[Found]:
    """Every sample; split or drive are None where no folder names them."""
    return paired(*_by_key(root))


def _by_key(root: Path) -> tuple[dict[Key, list[str]], dict[Key, list[str]]]:
    images: dict[Key, list[str]] = {}
    masks: dict[Key, list[str]] = {}
    for path in sorted(root.rglob("*")):
        inner = PurePosixPath(path.relative_to(root).as_posix())
        if path.suffix.lower() not in SUFFIXES or any(part.startswith((".", "__MACOSX")) for part in inner.parts):
            continue
        folders = list(inner.parent.parts)
        place = next((n for n, name in enumerate(folders) if name.lower() in IMAGES | MASKS), None)
        if place is None or INSTANCES.search(path.stem) or not path.is_file():
            continue
        kind = images if folders.pop(place).lower() in IMAGES else masks
        kind.setdefault((*_split_and_drive(folders), ENDING.sub("", path.stem)), []).append(inner.as_posix())
    return images, masks


def _split_and_drive(folders: list[str]) -> tuple[str | None, str | None]:
    named = next((name for name in folders if name.lower() in SPLIT_NAMES), None)
    rest = "/".join(name for name in folders if name is not named)
    return SPLIT_NAMES[named.lower()] if named else None, rest or None
