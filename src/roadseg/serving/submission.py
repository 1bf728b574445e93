"""The layout in which the IDD challenges take predictions."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError

LEVELS = (1, 3)  # that are scored; the challenge makes level 2 of level 3 itself
OF_20K, OF_LITE = "_leftImg8bit", "_image"  # how the data sets end an image's name


def submission_names(pictures: Iterable[Path], classes: ClassTable) -> dict[Path, PurePosixPath]:
    """Where the authors' scripts look for each picture's mask, below the folder that they are given.

    It is the name of the label: `<drive>/<id>_gtFine_labellevel3Ids.png`, and `<drive>/<id>_label.png` in IDD Lite.

    Args:
        pictures: of one split, called as the data set calls them, each in the folder of its drive.
        classes: of the model.

    Raises:
        UsageError: the classes are not those of a challenge, a picture is not called so, or two belong to one name.

    Source: README and evaluation/*.py of github.com/AutoNUE/public-code.
    """
    level = next((level for level in LEVELS if ClassTable.find(f"idd-level{level}") == classes), None)
    if level is None:
        raise UsageError(f"--submission idd takes models of idd-level1 and idd-level3, and this one has {classes.name}")
    found: dict[Path, PurePosixPath] = {}
    taken: dict[PurePosixPath, Path] = {}
    for path in pictures:
        name = PurePosixPath(path.absolute().parent.name) / _name(path, level)
        if (other := taken.setdefault(name, path)) != path:
            raise UsageError(f"{path} and {other} are both {name} of the submission: predict one split")
        found[path] = name
    return found


def _name(path: Path, level: int) -> str:
    for ending in (OF_20K, OF_LITE):
        if path.stem.endswith(ending):
            sample = path.stem.removesuffix(ending)
            in_lite = ending == OF_LITE and level == 1
            return f"{sample}_label.png" if in_lite else f"{sample}_gtFine_labellevel{level}Ids.png"
    raise UsageError(f"{path} is not called as IDD calls its images, <id>{OF_20K} or <id>{OF_LITE}")
