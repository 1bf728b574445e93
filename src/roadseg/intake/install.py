"""Put a data set at data/raw and give it to DVC."""

import shutil
from pathlib import Path

from roadseg.contracts import paths
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import failpoint, sync_disk, sync_folder
from roadseg.intake.archive import unpack
from roadseg.intake.places import OLD, STAGED, alone, laid_out
from roadseg.intake.records import finding, name_of, refuse_one_class, write_records
from roadseg.pipeline.dvc import dvc

DEFAULT = "idd-level1"


def install(
    tree: Path, source: Path, classes: ClassTable | None, *, name: str | None = None, **given: str | None
) -> str:
    """Import a data set.

    What stands at data/raw is committed to DVC's cache first, then replaced; a broken source changes nothing. An
    import that is killed is undone, or lacks only its last steps: the same command makes it whole.

    Args:
        tree: the folder that holds dvc.yaml.
        source: an archive or a folder, see `archive.unpack`.
        classes: the class table of its masks; None keeps the one in use, or takes `DEFAULT`.
        name: of the data set, written to params.yaml; without it `name_of` the source.
        given: `layout`, `images`, `masks`, see `known.look`; written to params.yaml.

    Returns:
        The name of the layout.

    Raises:
        UsageError, DataRefused: see `archive.unpack`, `known.look` and `places.alone`; or the table in use is broken.
    """
    with alone(tree):
        if source.resolve() == (tree / paths.RAW).resolve():
            raise UsageError(f"{source} is data/raw itself: edit it and run `dvc repro`, or import from elsewhere")
        found_by = finding(tree, **given)
        classes = classes or _missing(tree / paths.CLASSES)
        refuse_one_class(classes)
        try:
            failpoint("import:unpack")
            staged = unpack(source, tree / STAGED)
            failpoint("import:unpacked")
            staged, layout = laid_out(source, staged, tree / STAGED, found_by)
            _replace(tree, staged)
        finally:
            shutil.rmtree(tree / STAGED, ignore_errors=True)
        failpoint("import:moved")
        write_records(tree, classes, found_by | {"dataset": name_of(source) if name is None else name})
        dvc(tree, "add", str(paths.RAW))
        failpoint("import:added")
        shutil.rmtree(tree / OLD, ignore_errors=True)
        failpoint("import:done")
    return layout


def _replace(tree: Path, staged: Path) -> None:
    """Keep what stands at data/raw in DVC's cache, and put the new data in its place."""
    raw = tree / paths.RAW
    if raw.exists():
        dvc(tree, "add", str(paths.RAW))
    failpoint("import:kept")
    sync_disk(staged)  # also DVC's copy of the old data, which are deleted after this
    failpoint("import:synced")
    if raw.exists():
        failpoint("import:move-old")
        raw.rename(tree / OLD)
    failpoint("import:move-new")
    staged.rename(raw)
    failpoint("import:renamed")
    sync_folder(raw.parent)


def _missing(path: Path) -> ClassTable | None:
    """The default class table where there is none; one that is there is only checked, since people comment in it."""
    if not path.exists():
        return ClassTable.find(DEFAULT)
    ClassTable.read(path)
    return None
