"""Put a data set at data/raw and give it to DVC."""

import shutil
from pathlib import Path

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import failpoint, sync_disk
from roadseg.intake.archive import unpack
from roadseg.intake.places import OLD, RAW, STAGED, alone, laid_out
from roadseg.intake.records import finding, write_records
from roadseg.pipeline.dvc import dvc


def install(tree: Path, source: Path, classes: ClassTable, **given: str | None) -> str:
    """Import a data set.

    What stands at data/raw is committed to DVC's cache first, then replaced; a broken source changes nothing. An
    import that is killed is undone, or lacks only its last steps: the same command makes it whole.

    Args:
        tree: the folder that holds dvc.yaml.
        source: an archive or a folder, see `archive.unpack`.
        classes: the class table of its masks.
        given: `layout`, `images`, `masks`, see `known.look`; written to params.yaml.

    Returns:
        The name of the layout.

    Raises:
        UsageError, DataRefused: see `archive.unpack`, `known.look` and `places.alone`.
    """
    with alone(tree):
        if source.resolve() == (tree / RAW).resolve():
            raise UsageError(f"{source} is data/raw itself: edit it and run `dvc repro`, or import from elsewhere")
        found_by = finding(tree, **given)
        try:
            failpoint("import:unpack")
            staged = unpack(source, tree / STAGED)
            failpoint("import:unpacked")
            staged, layout = laid_out(source, staged, tree / STAGED, found_by)
            sync_disk(staged)
            failpoint("import:synced")
            if (tree / RAW).exists():
                dvc(tree, "add", "--quiet", RAW)
                failpoint("import:move-old")
                (tree / RAW).rename(tree / OLD)
            failpoint("import:move-new")
            staged.rename(tree / RAW)
        finally:
            shutil.rmtree(tree / STAGED, ignore_errors=True)
        failpoint("import:moved")
        write_records(tree, classes, found_by)
        dvc(tree, "add", "--quiet", RAW)
        failpoint("import:added")
        shutil.rmtree(tree / OLD, ignore_errors=True)
        failpoint("import:done")
    return layout
