"""IDD Lite: leftImg8bit/<split>/<drive>/<id>_image.jpg and gtFine/<split>/<drive>/<id>_label.png."""

from pathlib import Path, PurePosixPath

from roadseg.scan.layouts.found import Files, Found, paired
from roadseg.scan.layouts.idd_20k import files_of_drives, parts

IMAGE, MASK = "_image", "_label"


def matches(root: Path) -> bool:
    """Whether the folder, or one in it, looks like IDD Lite."""
    return any(_files(root, part, "leftImg8bit", IMAGE).paths for part in parts(root))


def find(root: Path) -> list[Found]:
    """Every sample, also an image without its mask, a mask without its image, and a second file of one name."""
    found = []
    for part in parts(root):
        found += paired(_files(root, part, "leftImg8bit", IMAGE), _files(root, part, "gtFine", MASK))
    return found


def _files(root: Path, part: PurePosixPath, kind: str, ending: str) -> Files:
    files = Files()
    for split, drive, path in files_of_drives(root, part / kind):
        stem = PurePosixPath(path).stem
        # `_inst_label.png` ends in `_label.png` too; its pixels are the same, so it is left out
        if stem.endswith(ending) and not stem.endswith("_inst_label"):
            files.add(path, split, drive, stem.removesuffix(ending), whole=True)
    return files
