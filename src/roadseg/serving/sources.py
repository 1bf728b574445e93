"""Which pictures a person means: by a picture, a folder, a glob, or a list; frames of a video by their numbers."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from roadseg.contracts.errors import UsageError
from roadseg.imaging.pixels import SUFFIXES
from roadseg.scan.layouts.names import folded
from roadseg.scan.not_data import is_data, picture_names

WRITTEN = ("masks", "overlays", "submission")  # below a folder that a prediction wrote into
LISTS = frozenset({".txt", ".lst", ".list"})
WILDCARDS = frozenset("*?[")


@dataclass(frozen=True)
class Pictures:
    """Files to predict.

    Attributes:
        root: the folder that the names of what is written are relative to.
        paths: below it; those of a list need not be there.
    """

    root: Path
    paths: list[Path]


def find_pictures(given: Sequence[str | Path], out: Path | None = None) -> Pictures:
    """The pictures of all that is given, frames in the order of their numbers.

    Args:
        given: each a picture, a folder, a glob of pictures or folders, or a list (`LISTS`) with a path a line, relative
            to the list's folder; empty lines and those that start with # are passed over. Of folders and globs hidden
            files and what a prediction wrote are passed over too.
        out: where this prediction writes.

    Raises:
        UsageError: one names no picture, or two would be written under one name.
    """
    found = [_one(str(each), out) for each in given]
    [root] = {each.root for each in found} if len(found) == 1 else {_common(each.root for each in found)}
    paths = [path if len(found) == 1 else path.absolute() for each in found for path in each.paths]
    names: dict[str, Path] = {}
    for path in paths:
        if (other := names.setdefault(folded(path.with_suffix("").as_posix()), path)) != path:
            raise UsageError(
                f"{path} and {other} differ in the ending only, or in large letters, so their masks would have one name"
            )
    return Pictures(root, list(names.values()))


def _one(given: str, out: Path | None) -> Pictures:
    path = Path(given)
    if path.is_dir():
        inner = [PurePosixPath(name) for name in picture_names(path)]
        return Pictures(path, _theirs(path, inner, out, given))
    if path.is_file():
        return _listed(path) if path.suffix.lower() in LISTS else Pictures(path.parent, [path])
    if WILDCARDS.isdisjoint(given):
        raise UsageError(f"{given} is no file, no folder and no pattern such as 'photos/*.jpg'")
    fixed = next(number for number, part in enumerate(path.parts) if not WILDCARDS.isdisjoint(part))
    root = Path(*path.parts[:fixed])
    names: list[PurePosixPath] = []
    for hit in root.glob(str(Path(*path.parts[fixed:]))):
        name = PurePosixPath(hit.relative_to(root))
        if is_data(name):
            hits = [name / below for below in picture_names(hit)] if hit.is_dir() else [name]
            names += [each for each in hits if each.suffix.lower() in SUFFIXES]
    return Pictures(root, _theirs(root, list(dict.fromkeys(names)), out, given))


def _theirs(root: Path, names: list[PurePosixPath], out: Path | None, given: str) -> list[Path]:
    """The pictures below a folder that no prediction wrote, in the order of their numbers."""
    written = {folder for name in names for folder in name.parents if _is_written(root / folder)}
    if out and out.resolve().is_relative_to(root.resolve()):
        written.add(PurePosixPath(out.resolve().relative_to(root.resolve())))
    ours = {folder / kind for folder in written for kind in WRITTEN}
    found = [root / name for name in sorted(names, key=_by_number) if ours.isdisjoint(name.parents)]
    if not found:
        raise UsageError(f"{given} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    return found


def _is_written(folder: Path) -> bool:
    """Whether a prediction wrote into a folder: the overlays that stand there are those of the masks."""
    masks, overlays = ({path.stem for path in (folder / kind).rglob("*.*")} for kind in WRITTEN[:2])
    return bool(overlays) and overlays <= masks


def _listed(path: Path) -> Pictures:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no list in UTF-8: write a picture's path a line") from None
    named = dict.fromkeys(line for line in lines if line and not line.startswith("#"))
    if not named:
        raise UsageError(f"{path} is empty: write a picture's path a line")
    paths = [Path(os.path.normpath(path.parent.absolute() / line)) for line in named]
    return Pictures(_common(each.parent for each in paths), paths)


def _common(folders: Iterable[Path]) -> Path:
    return Path(os.path.commonpath([folder.absolute() for folder in folders]))


def _by_number(name: PurePosixPath) -> list[list[tuple[int, str]]]:
    """A key by which frame 2 comes before frame 10."""
    pieces = (re.split(r"(\d+)", part) for part in name.parts)
    return [[(int(piece) if piece.isdecimal() else -1, piece) for piece in split] for split in pieces]
