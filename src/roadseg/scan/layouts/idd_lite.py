"""IDD Lite: leftImg8bit/<split>/<drive>/<id>_image.jpg and gtFine/<split>/<drive>/<id>_label.png."""

from pathlib import Path

from roadseg.contracts.manifest import SPLITS
from roadseg.scan.layouts.found import Found, Key, paired

IMAGE, MASK = "_image", "_label"


def matches(root: Path) -> bool:
    """Whether the folder looks like IDD Lite."""
    return any(root.glob(f"leftImg8bit/*/*/*{IMAGE}.*"))


def find(root: Path) -> list[Found]:
    """Every sample, also an image without its mask, a mask without its image, and a second file of one name."""
    # `_inst_label.png` ends in `_label.png` too; its pixels are the same, so it is left out
    masks = {key: paths for key, paths in _by_key(root, "gtFine", MASK).items() if not key[2].endswith("_inst")}
    return paired(_by_key(root, "leftImg8bit", IMAGE), masks)


def _by_key(root: Path, kind: str, ending: str) -> dict[Key, list[str]]:
    files: dict[Key, list[str]] = {}
    for split in SPLITS:
        for path in sorted((root / kind / split).glob("*/*")):
            if path.stem.endswith(ending) and path.is_file():
                key = (split, path.parent.name, path.stem.removesuffix(ending))
                files.setdefault(key, []).append(path.relative_to(root).as_posix())
    return files
