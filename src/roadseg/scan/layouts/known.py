"""The layouts there are, and which one a folder has."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from roadseg.contracts.errors import DataRefused
from roadseg.scan.layouts import idd_lite
from roadseg.scan.layouts.found import Found


@dataclass(frozen=True)
class Layout:
    """A way in which data sets lay out their files."""

    matches: Callable[[Path], bool]
    find: Callable[[Path], list[Found]]
    looks_like: str


LAYOUTS = {
    "idd-lite": Layout(idd_lite.matches, idd_lite.find, "leftImg8bit/<split>/<drive>/<id>_image.jpg with gtFine/"),
}


def detect(root: Path) -> str:
    """Name of the first layout that fits.

    Raises:
        DataRefused: none does; lists what was looked for and what is there.
    """
    for name, layout in LAYOUTS.items():
        if layout.matches(root):
            return name
    there = ", ".join(sorted(path.name for path in root.iterdir())[:5]) if root.is_dir() else "no such folder"
    known = "; ".join(f"{name}: {layout.looks_like}" for name, layout in LAYOUTS.items())
    raise DataRefused(f"{root} has no layout that roadseg knows (found: {there or 'nothing'}). Known: {known}")
