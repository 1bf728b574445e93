"""Names of files from strangers: which cannot be taken, and which meet on some disks."""

import re
import unicodedata
from pathlib import PurePosixPath

from roadseg.scan.layouts.names import folded

MAX_NAME, MAX_PATH = 255, 1000  # bytes; what Linux takes, less the folder that the data go to

DRIVE_LETTER = re.compile(r"[A-Za-z]:")


def points_outside(name: str) -> bool:
    """Whether a member's name may lead out of the folder that it is unpacked to."""
    path = PurePosixPath(name)
    unsafe = path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name
    return unsafe or bool(DRIVE_LETTER.match(name))


def name_fault(name: str) -> str | None:
    """What is wrong with a member's name by itself, in words that follow the name; None if nothing is."""
    path = PurePosixPath(name)
    if points_outside(name):
        return "points outside"
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in name):  # Cs: what was no UTF-8
        return "has a name that is not text in UTF-8"
    if len(name.encode()) > MAX_PATH or any(len(part.encode()) > MAX_NAME for part in path.parts):
        return f"has a name longer than {MAX_NAME} bytes, or a path longer than {MAX_PATH}"
    return None


class Names:
    """The names that a folder has so far, as a disk sees them that tells neither letters nor accents apart."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[PurePosixPath, bool]] = {}

    def fault(self, name: str, *, is_folder: bool) -> str | None:
        """Note a name and the folders above it; what is wrong with it beside the others, in words, or None."""
        path = PurePosixPath(name)
        if not is_folder and not path.parts:
            return "is a file without a name"
        for above in reversed(path.parents[:-1]):
            if fault := self._meets(above, is_folder=True):
                return fault
        return self._meets(path, is_folder=is_folder)

    def _meets(self, path: PurePosixPath, *, is_folder: bool) -> str | None:
        known, was_folder = self._known.setdefault(folded(path.as_posix()), (path, is_folder))
        if known is path or (known == path and is_folder and was_folder):
            return None
        if is_folder != was_folder:
            return f"makes {path.as_posix()!r} a file and a folder"
        return "is there twice" if not is_folder else f"has the folder {known.as_posix()!r} in other letters"
