"""IDD Lite: leftImg8bit/<split>/<drive>/<id>_image.jpg and gtFine/<split>/<drive>/<id>_label.png."""

from itertools import zip_longest
from pathlib import Path

from roadseg.contracts.manifest import SPLITS
from roadseg.scan.layouts.found import Found

IMAGE, MASK = "_image", "_label"


def matches(root: Path) -> bool:
    """Whether the folder looks like IDD Lite."""
    return any(root.glob(f"leftImg8bit/*/*/*{IMAGE}.*"))


def find(root: Path) -> list[Found]:
    """Every sample, also an image without its mask, a mask without its image, and a second file of one name."""
    found = []
    for split in SPLITS:
        images = _by_id(root, "leftImg8bit", split, IMAGE)
        # `_inst_label.png` ends in `_label.png` too; its pixels are the same, so it is left out
        masks = {
            key: paths for key, paths in _by_id(root, "gtFine", split, MASK).items() if not key[1].endswith("_inst")
        }
        for key in sorted(images.keys() | masks.keys()):
            pairs = zip_longest(images.get(key, []), masks.get(key, []))  # 1_image.jpg and 1_image.png are two samples
            found += [Found(split, *key, *pair) for pair in pairs]
    return found


def _by_id(root: Path, kind: str, split: str, ending: str) -> dict[tuple[str, str], list[str]]:
    files: dict[tuple[str, str], list[str]] = {}
    for path in sorted((root / kind / split).glob("*/*")):
        if path.stem.endswith(ending) and path.is_file():
            key = (path.parent.name, path.stem.removesuffix(ending))
            files.setdefault(key, []).append(path.relative_to(root).as_posix())
    return files
