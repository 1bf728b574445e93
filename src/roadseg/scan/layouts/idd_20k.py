"""IDD 20k, parts I and II: leftImg8bit/<split>/<drive>/<id>_leftImg8bit.png with polygons or label pictures in gtFine.

The parts may be merged into one `leftImg8bit`, or lie side by side, each in a folder of its own.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from roadseg.contracts.errors import DataRefused
from roadseg.contracts.manifest import SPLITS
from roadseg.imaging.codings import CODINGS
from roadseg.scan.layouts.found import Files, Found, paired
from roadseg.scan.layouts.names import is_instances
from roadseg.scan.not_data import files_in, is_data

IMAGE = "_leftimg8bit"
# The polygons decode to any level; of the label pictures the first to most.
MASKS = ("_gtfine_polygons.json", *(f"_gtfine_label{coding.removesuffix('id')}ids.png" for coding in CODINGS))
CITYSCAPES = re.compile(r"[^/]+_\d{6}_\d{6}_gtfine_labelids\.png", re.IGNORECASE)  # town, sequence, frame
SHOWN, DEEPEST = 3, 3


def matches(root: Path) -> bool:
    """Whether the folder, or a folder in it, looks like a part of IDD 20k."""
    return any(_images(root, part).paths for part in parts(root))


def find(root: Path) -> list[Found]:
    """Every sample of all parts, with the label file that decodes to most levels.

    Raises:
        DataRefused: the label files are none of IDD's; names some of them.
    """
    found = []
    for part in parts(root):
        images, masks = _images(root, part), _masks(root, part)
        _refuse_others(root, part, masks)
        found += paired(images, masks)
    return found


def parts(root: Path) -> list[PurePosixPath]:
    """Folders that hold a `leftImg8bit`, relative to `root`: itself, or folders in it, `DEEPEST` levels down."""
    found, level = [], [PurePosixPath()]
    for _ in range(DEEPEST + 1):
        found += [folder for folder in level if (root / folder / "leftImg8bit").is_dir()]
        inner = [folder / child.name for folder in level for child in sorted((root / folder).glob("*/"))]
        level = [each for each in inner if is_data(each) and each.name not in {"leftImg8bit", "gtFine"}]
    return found


def files_of_drives(root: Path, kind: PurePosixPath) -> Iterator[tuple[str, str, str]]:
    """Split, drive and path of every file in `<kind>/<split>/<drive>/`."""
    for split in SPLITS:
        for path in files_in(root / kind / split):
            if path.count("/") == 1:
                yield split, path.partition("/")[0], (kind / split / path).as_posix()


def _images(root: Path, part: PurePosixPath) -> Files:
    files = Files()
    for split, drive, path in files_of_drives(root, part / "leftImg8bit"):
        stem = PurePosixPath(path).stem
        if stem.lower().endswith(IMAGE):
            files.add(path, split, drive, stem[: -len(IMAGE)], whole=True)
    return files


def _masks(root: Path, part: PurePosixPath) -> Files:
    best: dict[tuple[str, str, str], tuple[int, str]] = {}
    for split, drive, path in files_of_drives(root, part / "gtFine"):
        name = PurePosixPath(path).name
        rank = next((rank for rank, ending in enumerate(MASKS) if name.lower().endswith(ending)), None)
        if rank is not None:
            key = (split, drive, name[: -len(MASKS[rank])])
            best[key] = min(best.get(key, (rank + 1, "")), (rank, path))
    files = Files()
    for key, (_, path) in best.items():
        files.add(path, *key, whole=True)
    return files


def _refuse_others(root: Path, part: PurePosixPath, masks: Files) -> None:
    there = [
        path for _, _, path in files_of_drives(root, part / "gtFine") if not is_instances(PurePosixPath(path).stem)
    ]
    taken = [path for paths in masks.paths.values() for path in paths]
    if theirs := next((path for path in taken if CITYSCAPES.fullmatch(PurePosixPath(path).name)), None):
        raise DataRefused(
            f"{root / theirs}: is named as Cityscapes names its files (town_sequence_frame), whose label ids are not "
            f"IDD's; import with a class table of Cityscapes' ids, {_patterns(theirs)}"
        )
    if there and not taken:
        shown = ", ".join(str(root / path) for path in there[:SHOWN])
        raise DataRefused(
            f"{shown}: none of the label files that layout idd-20k reads (*_gtFine_polygons.json, "
            f"*_gtFine_label...Ids.png), and none else is there; import with a class table of their ids, "
            f"{_patterns(there[0])}"
        )


def _patterns(path: str) -> str:
    """What reads files that end as this one does."""
    _, _, ending = PurePosixPath(path).name.rpartition("_gtFine_")
    folder = PurePosixPath(path).parents[2].as_posix()
    base = folder.removesuffix("gtFine")
    return (
        f"`--images '{base}leftImg8bit/{{split}}/{{drive}}/{{id}}_leftImg8bit.png' "
        f"--masks '{folder}/{{split}}/{{drive}}/{{id}}_gtFine_{ending}'`"
    )
