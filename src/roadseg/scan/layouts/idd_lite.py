"""IDD Lite: leftImg8bit/<split>/<drive>/<id>_image.jpg and gtFine/<split>/<drive>/<id>_label.png."""

from pathlib import Path

from roadseg.contracts.manifest import SPLITS
from roadseg.scan.layouts.found import Found

IMAGE, MASK = "_image", "_label"


def matches(root: Path) -> bool:
    """Whether the folder looks like IDD Lite."""
    return any(root.glob(f"leftImg8bit/*/*/*{IMAGE}.*"))


def find(root: Path) -> list[Found]:
    """Every sample, also an image without its mask and a mask without its image."""
    found = []
    for split in SPLITS:
        images = _by_id(root, "leftImg8bit", split, IMAGE)
        # `_inst_label.png` ends in `_label.png` too; its pixels are the same, so it is left out
        masks = {key: path for key, path in _by_id(root, "gtFine", split, MASK).items() if not key[1].endswith("_inst")}
        for drive, number in sorted(images.keys() | masks.keys()):
            key = (drive, number)
            found.append(Found(split, drive, number, images.get(key), masks.get(key)))
    return found


def _by_id(root: Path, kind: str, split: str, ending: str) -> dict[tuple[str, str], str]:
    files = (path for path in (root / kind / split).glob("*/*") if path.stem.endswith(ending) and path.is_file())
    return {
        (path.parent.name, path.stem.removesuffix(ending)): path.relative_to(root).as_posix() for path in sorted(files)
    }
