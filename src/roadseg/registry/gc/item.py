"""One thing that can go."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Item:
    """Something that nothing reaches.

    Attributes:
        kind: as people call such things.
        name: of this one.
        size: bytes.
        remove: takes it away.
    """

    kind: str
    name: str
    size: int
    remove: Callable[[], object] = field(repr=False, compare=False)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if not path.is_dir():
        return path.lstat().st_size
    return sum(each.lstat().st_size for each in path.rglob("*") if each.is_symlink() or each.is_file())


def newest(path: Path) -> float:
    """When something of a file or folder last changed, seconds since the epoch.

    The change of the inode counts too: a file that was copied with the date of its source is as young as the copy.
    """
    states = [path.lstat(), *(each.lstat() for each in path.rglob("*"))] if path.is_dir() else [path.lstat()]
    return max(max(state.st_mtime, state.st_ctime) for state in states)
