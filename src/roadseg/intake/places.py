"""The folders that an import works in, and how the next one goes on from a killed one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

from filelock import FileLock, Timeout

from roadseg.contracts import paths
from roadseg.contracts.errors import Busy, DataRefused, UsageError
from roadseg.contracts.files import REPLACING, failpoint, sync_disk, sync_folder
from roadseg.intake.records import RECORDS
from roadseg.pipeline.dvc import dvc
from roadseg.scan.layouts.known import look

STAGED, OLD, MERGE = (paths.RAW.with_name(name) for name in (".import", ".replaced", ".merge"))
FAILPOINTS = (
    *("member:write", "member:opened", "member:written"),
    *("recover:rename", "recover:renamed", "recover:synced", "recover:done"),
    *("import:unpack", "import:unpacked", "import:kept", "import:synced", "import:move-old", "import:move-new"),
    *("import:renamed", "import:moved", "import:added", "import:done"),
    *("add:unpack", "add:unpacked", "add:checked", "add:synced", "add:renamed", "add:begun", "add:move", "add:moved"),
    *("add:settled", "add:merged", "add:added", "add:done"),
    *(f"{path.name}:{point}" for path in RECORDS for point in REPLACING),
)


@contextmanager
def alone(tree: Path) -> Iterator[None]:
    """Be the only import in `tree`, after one that was killed is undone or completed.

    Raises:
        UsageError: no checkout with DVC.
        Busy: another import is at work.
    """
    if not (tree / ".dvc").is_dir() or not all((tree / path).exists() for path in (paths.GRAPH, paths.PARAMS)):
        raise UsageError(f"{tree} lacks dvc.yaml, params.yaml or .dvc: run from the top of a roadseg checkout")
    (tree / ".dvc/tmp").mkdir(exist_ok=True)
    try:
        with FileLock(tree / ".dvc/tmp/roadseg-import.lock", timeout=0):
            _recover(tree)
            yield
    except Timeout:
        raise Busy(f"another import works in {tree}: wait for it") from None


def laid_out(source: Path, staged: Path, whole: Path, found_by: dict[str, str]) -> tuple[Path, str]:
    """Folder and name of the layout that was unpacked.

    Args:
        source: where it came from, for errors.
        staged: what was unpacked, less the one top folder.
        whole: with it, where it belongs to the data: images alone are a single folder `leftImg8bit`.
        found_by: how files are found, see `known.look`.

    Raises:
        UsageError, DataRefused: see `known.look`.
    """
    try:
        return staged, look(staged, **found_by)[0]
    except DataRefused as error:
        with suppress(DataRefused):
            return whole, look(whole, **found_by)[0]
        raise DataRefused(str(error).replace(str(staged), str(source))) from None


def move_in(tree: Path) -> None:
    """Move what is in data/.merge into data/raw, file by file; goes on from where it was killed."""
    merge = tree / MERGE
    for folder, _, names in sorted(os.walk(merge)):
        target = tree / paths.RAW / Path(folder).relative_to(merge)
        target.mkdir(parents=True, exist_ok=True)
        for name in sorted(names):
            failpoint("add:move")
            (Path(folder) / name).rename(target / name)
            failpoint("add:moved")
    sync_disk(tree / paths.RAW)
    failpoint("add:settled")
    shutil.rmtree(merge)
    failpoint("add:merged")


def forget_addition(tree: Path) -> None:
    """Drop what an import that was killed has staged or begun to add, where its source is there to begin again.

    For a workspace alone: its data/raw is checked out anew, so that a part of an addition would be left of it.
    """
    for folder in (STAGED, MERGE):
        shutil.rmtree(tree / folder, ignore_errors=True)


def _recover(tree: Path) -> None:
    """Where the old data were moved and the new did not arrive they return; a merge that had begun is completed."""
    shutil.rmtree(tree / STAGED, ignore_errors=True)
    for path in map(tree.joinpath, RECORDS):
        for left in path.parent.glob(f".{escape(path.name)}.*.tmp"):
            left.unlink()
    if (tree / OLD).exists():
        if not (tree / paths.RAW).exists():
            failpoint("recover:rename")
            (tree / OLD).rename(tree / paths.RAW)
            failpoint("recover:renamed")
        sync_folder((tree / paths.RAW).parent)
        failpoint("recover:synced")
        shutil.rmtree(tree / OLD, ignore_errors=True)  # was in DVC's cache before it was moved
        failpoint("recover:done")
    if (tree / MERGE).exists():
        move_in(tree)
        dvc(tree, "add", "--quiet", str(paths.RAW))
