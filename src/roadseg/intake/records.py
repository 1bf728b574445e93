"""The files beside data/raw that say how it is read and judged."""

from pathlib import Path

from roadseg.contracts import paths
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.manifest import Manifest, read_manifest
from roadseg.contracts.quarantine import write_quarantine
from roadseg.contracts.reference import write_no_reference, write_reference
from roadseg.contracts.splits import write_splits
from roadseg.intake.archive import TAR_NAMES
from roadseg.pipeline.settings import change_settings, read_settings

RECORDS = (paths.PARAMS, paths.REFERENCE, paths.CLASSES, paths.QUARANTINE, paths.SPLITS)
FINDING = {"layout": "auto", "images": "", "masks": ""}  # keys of params.yaml's scan, and what an absent one means
KEYS = FINDING | {"dataset": ""}
ENDINGS = (*TAR_NAMES, ".zip")


def finding(tree: Path, **given: str | None) -> dict[str, str]:
    """How files are to be found: what is given, else what params.yaml says; see `known.look`."""
    said = _said(tree)
    return {key: said[key] for key in FINDING} | {key: value for key, value in given.items() if value is not None}


def name_of(source: Path) -> str:
    """What a data set is called unless somebody says it: its folder's name, or its archive's without the ending."""
    name = source.absolute().name  # of `.` too, and of a link itself
    if source.is_file():
        ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")
        name = name[: len(name) - len(ending)]
    return name.encode(errors="replace").decode()  # a disk's name need not be UTF-8, params.yaml is


def write_records(tree: Path, classes: ClassTable | None, scan: dict[str, str]) -> None:
    """Write reference, class table and parameters, and empty lists of quarantine and splits where there are none.

    Args:
        tree: the folder that holds dvc.yaml.
        classes: the table in use; None leaves data/classes.yaml alone.
        scan: some of `KEYS`, for params.yaml, where a key that says so already is left alone.
    """
    _write_reference(tree)
    if classes:
        classes.write(tree / paths.CLASSES)
    said = _said(tree)
    if changed := {key: value for key, value in scan.items() if value != said[key]}:
        change_settings(tree / paths.PARAMS, "scan", changed)
    if not (tree / paths.QUARANTINE).exists():
        write_quarantine(tree / paths.QUARANTINE, [])
    if not (tree / paths.SPLITS).exists():
        write_splits(tree / paths.SPLITS, [])


def refuse_one_class(classes: ClassTable | None) -> None:
    """A table with one class is no task: whatever is predicted is right.

    Raises:
        UsageError: it has one.
    """
    if classes and classes.count < 2:
        (only,) = classes.names
        raise UsageError(
            f"class table {classes.name}: {only} is its one class, so every model would score 1.0; list what is not "
            f"{only} as a class too, as `road` does with `other`, instead of as void"
        )


def _said(tree: Path) -> dict[str, str]:
    """`KEYS` as params.yaml has them."""
    path = tree / paths.PARAMS
    scan = read_settings(path).get("scan") or {}
    if not isinstance(scan, dict):
        raise UsageError(f"{path}: scan: expected keys, found {type(scan).__name__}")
    return {key: str(scan.get(key, otherwise)) for key, otherwise in KEYS.items()}


def _accepted(path: Path) -> Manifest | None:
    try:
        return read_manifest(path) if path.exists() else None
    except UsageError as error:  # an import does not fail for what it does not need
        print(f"warning: {paths.REFERENCE} stays as it is: {error}")
        return None


def _write_reference(tree: Path) -> None:
    """Write the shares of the last accepted data; leave them alone where no manifest says what was accepted."""
    path, accepted = tree / paths.REFERENCE, _accepted(tree / paths.MANIFEST)
    if accepted:
        write_reference(path, accepted)
    elif not path.exists():
        write_no_reference(path)
