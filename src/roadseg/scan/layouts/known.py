"""The layouts there are, and which one a folder has."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.scan.layouts import folders, idd_20k, idd_lite, numbered, patterns
from roadseg.scan.layouts.found import Found


@dataclass(frozen=True)
class Layout:
    """A way in which data sets lay out their files."""

    matches: Callable[[Path], bool]
    find: Callable[[Path], list[Found]]
    looks_like: str


LAYOUTS = {
    "idd-lite": Layout(idd_lite.matches, idd_lite.find, "leftImg8bit/<split>/<drive>/<id>_image.jpg with gtFine/"),
    "idd-20k": Layout(
        idd_20k.matches, idd_20k.find, "leftImg8bit/<split>/<drive>/<id>_leftImg8bit.png with gtFine/, also in parts"
    ),
    "numbered": Layout(numbered.matches, numbered.find, "Image_<n>.png in one folder and Mask_<n>.png in one"),
    "folders": Layout(
        folders.matches,
        folders.find,
        "images/ and masks/ with equal names, <id>.png and <id>_mask.png, or two patterns",
    ),
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
    raise DataRefused(
        f"{root} has no layout that roadseg knows (found: {there or 'nothing'}). Known: {known}. For other "
        "folders give two patterns: --images 'rgb/{split}/{drive}/{id}.jpg' --masks 'ids/{split}/{drive}/{id}.png'"
    )


def look(root: Path, layout: str, images: str, masks: str) -> tuple[str, list[Found]]:
    """Find the samples of a folder.

    Args:
        root: the data's folder.
        layout: a name of `LAYOUTS`, or `auto` to look.
        images, masks: patterns, see `patterns.find`; empty to look.

    Returns:
        The layout's name and the samples.

    Raises:
        DataRefused: the layout does not fit, see `detect` and `patterns.find`.
        UsageError: an unknown layout, or one pattern without the other.
    """
    if layout not in {"auto", *LAYOUTS}:
        raise UsageError(f"no layout {layout!r}: there are auto, {', '.join(LAYOUTS)}")
    if bool(images) != bool(masks):
        raise UsageError("params.yaml: scan.images and scan.masks: give both patterns or none")
    if images and layout in {"auto", "folders"}:
        return "folders", patterns.find(root, images, masks)
    name = detect(root) if layout == "auto" else layout
    if not LAYOUTS[name].matches(root):
        raise DataRefused(f"{root} is not laid out as {name}: {LAYOUTS[name].looks_like}; try `--layout auto`")
    found = LAYOUTS[name].find(root)
    if not found:
        raise DataRefused(
            f"{root} looks like {name}, but no sample lies where {LAYOUTS[name].looks_like} puts it (splits are called "
            "train, val and test)"
        )
    return name, found
