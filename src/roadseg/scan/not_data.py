"""Files and folders that are no data: what systems, editors and synchronisers leave between them. One list for all."""

import os
import unicodedata
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from roadseg.imaging.pixels import SUFFIXES

# As .dvcignore writes them, which a test holds equal: a name that fits one, of a file or of any folder above it
NOT_DATA = (
    ".*",  # hidden: .DS_Store, ._x of macOS, .git, .ipynb_checkpoints, .x.swp of vim, .#x of emacs
    "__MACOSX",
    "[Ii]con[!!-~]",  # macOS ends the name with a carriage return
    "@[Ee]a[Dd]ir",  # Synology
    "[#]recycle",
    "[#]snapshot",
    "[$]RECYCLE.BIN",  # Windows
    "System Volume Information",
    "[Tt]humbs.db",
    "ehthumbs*.db",
    "[Dd]esktop.ini",
    "lost+found",
    "__pycache__",
    "*.pyc",
    "*~",  # editors' copies
    "[#]*[#]",
    "*.swp",
    "*.swo",
    "*.bak",
    "*.tmp",  # downloads and copies that did not end
    "*.part",
    "*.crdownload",
)


def is_data(name: str | PurePosixPath) -> bool:
    """Whether no part of a relative path is on the list."""
    return not any(_left_behind(part) for part in PurePosixPath(name).parts)


def files_in(root: Path) -> list[str]:
    """Paths of all files below a folder that may be data, relative to it, POSIX, sorted by their parts."""
    found = []
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if not _left_behind(name)]
        inner = PurePosixPath(Path(folder).relative_to(root).as_posix())
        found += [inner / name for name in names if not _left_behind(name)]
    return [path.as_posix() for path in sorted(found) if (root / path).is_file()]


def picture_names(root: Path) -> list[str]:
    """Those of `files_in` that are called as pictures are."""
    return [path for path in files_in(root) if PurePosixPath(path).suffix.lower() in SUFFIXES]


def _left_behind(name: str) -> bool:
    spelled = unicodedata.normalize("NFC", name)
    return any(fnmatchcase(spelled, pattern) for pattern in NOT_DATA)
