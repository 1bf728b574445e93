"""IDD 20k, parts I and II: leftImg8bit/<split>/<drive>/<id>_leftImg8bit.png with polygons or label pictures in gtFine.

The parts may be merged into one `leftImg8bit`, or lie side by side, each in a folder of its own.
"""

from pathlib import Path

from roadseg.contracts.manifest import SPLITS
from roadseg.imaging.codings import CODINGS
from roadseg.scan.layouts.found import Found, Key, paired

IMAGE = "_leftimg8bit"
# The polygons decode to any level; of the label pictures the first to most.
MASKS = ("_gtfine_polygons.json", *(f"_gtfine_label{coding.removesuffix('id')}ids.png" for coding in CODINGS))


def matches(root: Path) -> bool:
    """Whether the folder, or a folder in it, looks like a part of IDD 20k."""
    return any(any(part.glob("leftImg8bit/*/*/*_leftImg8bit.*")) for part in _parts(root))


def find(root: Path) -> list[Found]:
    """Every sample of all parts, with the label file that decodes to most levels."""
    found = []
    for part in _parts(root):
        found += paired(_images(root, part), _masks(root, part))
    return found


def _parts(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return [part for part in (root, *sorted(root.iterdir())) if (part / "leftImg8bit").is_dir()]


def _images(root: Path, part: Path) -> dict[Key, list[str]]:
    files: dict[Key, list[str]] = {}
    for split, path in _files(part / "leftImg8bit"):
        if path.stem.lower().endswith(IMAGE):
            key = (split, path.parent.name, path.stem[: -len(IMAGE)])
            files.setdefault(key, []).append(path.relative_to(root).as_posix())
    return files


def _masks(root: Path, part: Path) -> dict[Key, list[str]]:
    best: dict[Key, tuple[int, str]] = {}
    for split, path in _files(part / "gtFine"):
        name = path.name.lower()
        rank = next((rank for rank, ending in enumerate(MASKS) if name.endswith(ending)), None)
        if rank is not None:
            key = (split, path.parent.name, path.name[: -len(MASKS[rank])])
            best[key] = min(best.get(key, (rank + 1, "")), (rank, path.relative_to(root).as_posix()))
    return {key: [path] for key, (_, path) in best.items()}


def _files(folder: Path) -> list[tuple[str, Path]]:
    return [(split, path) for split in SPLITS for path in sorted((folder / split).glob("*/*")) if path.is_file()]
