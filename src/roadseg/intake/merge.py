"""Add new drives or parts to data/raw; what is there is neither changed nor lost."""

import filecmp
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from roadseg.contracts import paths
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.files import failpoint, sync_disk, sync_folder
from roadseg.contracts.splits import decide_splits
from roadseg.intake.archive import unpack
from roadseg.intake.places import MERGE, STAGED, alone, laid_out, move_in
from roadseg.intake.records import FINDING, finding, refuse_one_class, write_records
from roadseg.pipeline.dvc import dvc
from roadseg.pipeline.settings import read_settings
from roadseg.scan.layouts.known import look
from roadseg.scan.layouts.names import folded
from roadseg.scan.splits import unit_of

SHOWN = 3


@dataclass(frozen=True)
class Merged:
    """What an addition did: the layout, and how many files were new or there already."""

    layout: str
    new: int
    known: int


def merge(
    tree: Path,
    source: Path,
    classes: ClassTable | None,
    *,
    name: str | None = None,
    split: str | None = None,
    **given: str | None,
) -> Merged:
    """Add the files of a data set that data/raw lacks; equal ones are passed over.

    An addition that is killed has changed nothing, or the next import completes it.

    Args:
        tree: the folder that holds dvc.yaml.
        source: an archive or a folder, see `archive.unpack`.
        classes: a new class table for all data; None keeps the one in use.
        name: a new one for all data; None keeps what params.yaml says.
        split: that drives with new files get in data/splits.csv; None leaves it to folders, lists or a made split.
        given: as for `install`.

    Raises:
        UsageError: there is nothing to add to; or see `install`.
        DataRefused: the layout is another, or a file would replace a different one: names it, and nothing is changed.
    """
    records = finding(tree, **given) | ({} if name is None else {"dataset": name})
    return _add(tree, source, classes, records, placed=False, split=split)


def merge_placed(tree: Path, source: Path) -> Merged:
    """As `merge`, of files that lie below `source` as they shall lie in data/raw; they were judged so."""
    return _add(tree, source, None, finding(tree), placed=True)


def _add(
    tree: Path,
    source: Path,
    classes: ClassTable | None,
    records: dict[str, str],
    *,
    placed: bool,
    split: str | None = None,
) -> Merged:
    with alone(tree):
        if not (tree / paths.RAW).is_dir():
            raise UsageError(f"{tree / paths.RAW} is missing, so nothing can be added to it: import without --add")
        found_by = {key: records[key] for key in FINDING}
        refuse_one_class(classes)
        try:
            failpoint("add:unpack")
            staged = unpack(source, tree / STAGED)
            failpoint("add:unpacked")
            there, _ = look(tree / paths.RAW, **found_by)
            staged, layout = (tree / STAGED, there) if placed else _fitting(tree, source, staged, there, found_by)
            if layout != there:
                raise DataRefused(f"{source} has layout {layout} and data/raw {there}: nothing was added")
            new, known = _keep_new(source, staged, tree / paths.RAW)
            failpoint("add:checked")
            if new:
                if split:  # before anything moves: a line for a drive that is not there yet decides nothing
                    _decide(tree, source, staged, found_by, split, records.get("dataset"))
                sync_disk(staged)
                failpoint("add:synced")
                staged.rename(tree / MERGE)  # from here on the addition is completed, whatever happens
                failpoint("add:renamed")
                sync_folder((tree / paths.RAW).parent)
        finally:
            shutil.rmtree(tree / STAGED, ignore_errors=True)
        failpoint("add:begun")
        if new:
            move_in(tree)
        write_records(tree, classes, records)
        dvc(tree, "add", str(paths.RAW))
        failpoint("add:added")
    failpoint("add:done")
    return Merged(layout, new, known)


def _decide(tree: Path, source: Path, staged: Path, found_by: dict[str, str], split: str, dataset: str | None) -> None:
    """Give the drives of new files a split."""
    try:
        units = {unit_of(one) for one in look(staged, **found_by)[1]}
    except DataRefused:
        raise UsageError(f"{source}: --split needs images with their masks; give both, or leave it out") from None
    named = dataset or str((read_settings(tree / paths.PARAMS).get("scan") or {}).get("dataset") or "")
    decide_splits(tree / paths.SPLITS, dict.fromkeys(units, split), named)


def _fitting(tree: Path, source: Path, staged: Path, there: str, found_by: dict[str, str]) -> tuple[Path, str]:
    """As `laid_out`; also of files that are samples only with those in data/raw, as masks that come later are."""
    if _is_one_of_many(staged, tree / paths.RAW):
        staged = tree / STAGED
    try:
        return laid_out(source, staged, tree / STAGED, found_by)
    except DataRefused:
        for folder in {staged, tree / STAGED}:
            if _completes(folder, tree / paths.RAW, found_by):
                return folder, there
        raise


def _is_one_of_many(staged: Path, raw: Path) -> bool:
    """Whether the one top folder of what was unpacked is a drive, split or part beside those in `raw`, no wrapping."""
    names = {path.name for path in staged.iterdir()}
    return names.isdisjoint(path.name for path in raw.iterdir()) and any(path.name in names for path in raw.glob("*/*"))


def _completes(folder: Path, raw: Path, found_by: dict[str, str]) -> bool:
    """Whether `folder` has the mask of an image that lies in `raw`, or the image of a mask."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    with TemporaryDirectory(dir=raw.parent, prefix=".look.") as view:
        shutil.copytree(folder, view, copy_function=_link, dirs_exist_ok=True)
        for path in raw.rglob("*"):
            link = Path(view, path.relative_to(raw))
            with suppress(FileExistsError, NotADirectoryError):  # a clash, which `_keep_new` will name
                link.mkdir(exist_ok=True) if path.is_dir() else _link(path, link)
        found = look(Path(view), **found_by)[1]
    return any((sample.image in names) != (sample.mask in names) for sample in found if sample.image and sample.mask)


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except (FileExistsError, NotADirectoryError):
        raise
    except OSError:  # the disk has no links, or has them only for a file's owner
        shutil.copyfile(source, target)


def _keep_new(source: Path, staged: Path, raw: Path) -> tuple[int, int]:
    """Delete from `staged` what `raw` has; numbers of files that are new and that were there."""
    found = differences(source, staged, raw)
    if faults := list(found.faults.values()):
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise DataRefused("; ".join(faults[:SHOWN]) + more + "; nothing was added")
    for name in found.equal:
        (staged / name).unlink()
    return len(found.new), len(found.equal)


@dataclass(frozen=True)
class Compared:
    """Files and folders of a delivery by their paths: what is wrong with one in words, equal ones, and new files."""

    faults: dict[str, str]
    equal: list[str]
    new: list[str]


def differences(source: Path, staged: Path, raw: Path) -> Compared:
    """Compare what came from `source` and lies in `staged` with the data in `raw`."""
    spelled = {folded(name): name for name in (path.relative_to(raw).as_posix() for path in raw.rglob("*"))}
    found = Compared({}, [], [])
    for path in sorted(staged.rglob("*")):
        name = path.relative_to(staged).as_posix()
        there = spelled.get(folded(name))
        if there is None:
            found.new.extend([name] if path.is_file() else [])
        elif there != name:
            found.faults[name] = f"{raw / there}: {source} has it as {name}, which is one name on some disks"
        elif path.is_dir() != (raw / name).is_dir():
            found.faults[name] = f"{raw / name} is a file here and a folder there, {source} has it the other way"
        elif path.is_file() and not filecmp.cmp(path, raw / name, shallow=False):
            found.faults[name] = f"{raw / name}: {source} has a different file of that name; keep one of the two"
        elif path.is_file():
            found.equal.append(name)
    return found
