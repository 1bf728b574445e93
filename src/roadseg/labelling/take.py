"""Take a batch back: masks that people made, judged apart by ingest's own code, then added to data/raw."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from roadseg.contracts import paths
from roadseg.contracts.classes import VOID
from roadseg.contracts.confusion import confusion
from roadseg.contracts.errors import Busy, DataRefused, UsageError
from roadseg.contracts.files import failpoint
from roadseg.contracts.quarantine import Quarantined, read_quarantine, write_quarantine
from roadseg.contracts.splits import decide_splits
from roadseg.intake.archive import unpack
from roadseg.intake.inbox.judging import Judge, judge_deliveries
from roadseg.intake.inbox.view import View
from roadseg.intake.merge import merge_placed
from roadseg.intake.places import alone
from roadseg.labelling.batch import UNLABELLED, Batch, Pick
from roadseg.labelling.imported import remember
from roadseg.labelling.place import Placing
from roadseg.labelling.tools.read import Returned, read_export
from roadseg.scan.layouts.known import look

SHOWN = 5
FAILPOINTS = ("label:read", "label:judged", "label:merged", "label:left-out", "label:decided", "label:imported")


@dataclass(frozen=True)
class Taken:
    """What an import did.

    Attributes:
        new: files that came into data/raw.
        pictures: of the batch that are labelled now.
        drives: names and the split that each has now.
        left_out: samples of these drives that stay without a label.
        counts: int64 (K + 1, K + 1), pixels by what the model said and what people made of it, void last.
        warnings: what validate would say that does not refuse.
    """

    new: int
    pictures: int
    drives: dict[str, str]
    left_out: list[str]
    counts: np.ndarray
    warnings: list[str]


def import_batch(tree: Path, batch: Batch, source: Path, *, partial: bool = False) -> Taken:
    """Take what a tool exported into the data.

    A kill at any place loses nothing: the same import again goes on, and one that was done adds nothing.

    Args:
        tree: the folder that holds dvc.yaml.
        batch: that was exported.
        source: an archive, a folder or a JSON file that the tool gave.
        partial: take what is finished where not all is.

    Raises:
        UsageError: there are no data to add to, or they have another class table.
        DataRefused: the export is hostile, half-finished, or holds what cannot enter; names each fault, and nothing
            has changed.
        Busy: another import is at work.
    """
    with alone(tree):
        pass  # an addition that was killed is made whole first
    judge = Judge.of(tree)
    if judge.classes != batch.classes:
        raise UsageError(
            f"batch {batch.name} has classes {batch.classes.name}, the data {judge.classes.name}: they differ"
        )
    with _scratch(batch) as folder:
        returned = _unpacked(source, folder, batch)
        picks = _finished(returned, batch, source, partial)
        failpoint("label:read")
        found = _present(judge, tree, folder)
        counts = _place(batch, picks, returned, found.rows, folder / "good", judge)
        splits = _splits(batch, picks, found.rows)
        left_out = _unlabelled(picks, found.rows, splits)
        judge = replace(
            judge,
            splits={**judge.splits, **splits},
            quarantine=_listed(judge.quarantine, batch, left_out, picks, splits),
        )
        warnings = _judge(judge, batch, picks, tree / paths.RAW, folder, found.layout)
        failpoint("label:judged")
        new = merge_placed(tree, folder / "good").new
        failpoint("label:merged")
    if set(judge.quarantine) != set(read_quarantine(tree / paths.QUARANTINE)):
        write_quarantine(tree / paths.QUARANTINE, judge.quarantine)
    failpoint("label:left-out")
    decide_splits(tree / paths.SPLITS, splits, judge.scan.dataset, batch.name)
    failpoint("label:decided")
    remember(batch, counts, splits, list(left_out), _samples(picks, splits))
    failpoint("label:imported")
    return Taken(new, len(picks), splits, sorted(left_out), np.sum(list(counts.values()), axis=0), warnings)


@dataclass(frozen=True)
class _Present:
    rows: list[dict[str, Any]]
    layout: str


def _present(judge: Judge, tree: Path, folder: Path) -> _Present:
    """What is in data/raw now, as scan reads it."""
    raw = tree / paths.RAW
    if not raw.is_dir():
        raise UsageError(
            f"{raw} is missing, so nothing can be added to it: `roadseg data import` brings the first data"
        )
    layout = look(raw, **judge.found_by)[0]
    return _Present(judge.scanned(raw, layout).records(), layout)


@contextmanager
def _scratch(batch: Batch) -> Iterator[Path]:
    """A folder of this import alone, gone afterwards."""
    folder = batch.folder / ".incoming"
    try:
        with FileLock(batch.folder / ".lock", timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except Timeout:
        raise Busy(f"batch {batch.name} is being imported: wait for it") from None


def _unpacked(source: Path, folder: Path, batch: Batch) -> Returned:
    target = folder / "export"
    if source.is_file() and source.suffix.lower() == ".json":
        target.mkdir()
        shutil.copyfile(source, target / source.name)
    else:
        try:
            unpack(source, target)
        except DataRefused as error:
            raise DataRefused(str(error).replace("nothing was imported", "nothing was taken")) from None
        for inner in sorted(target.rglob("annotations.zip")):  # our own export, as it was written
            unpack(inner, inner.with_suffix(""))
    try:
        return read_export(target, batch)
    except DataRefused as error:
        raise DataRefused(f"{source}: {error}; nothing was taken") from None


def _finished(returned: Returned, batch: Batch, source: Path, partial: bool) -> list[Pick]:
    """The picks that have a mask; each is looked at once, so that all faults are named before anything is written."""
    faults, empty = list(returned.faults), []
    done = [pick for pick in batch.picks if pick.name in returned.masks]
    for pick in list(done):
        try:
            if (returned.masks[pick.name]() == VOID).all():
                empty.append(pick.name)
                done.remove(pick)
        except DataRefused as error:
            faults.append(str(error))
    missing = [pick.name for pick in batch.picks if pick.name not in returned.masks] + empty
    if missing and not partial:
        faults.append(
            f"{len(missing)} of {len(batch.picks)} pictures are not finished: {_shown(missing)}; finish them, or take "
            "the others with --partial"
        )
    if faults or not done:
        raise DataRefused(f"{source}: {_shown(faults) or 'no picture is finished'}; nothing was taken")
    return done


def _place(
    batch: Batch, picks: list[Pick], returned: Returned, rows: list[dict[str, Any]], good: Path, judge: Judge
) -> dict[str, np.ndarray]:
    """Write images and masks as they shall lie in data/raw, one picture in memory; what people changed, by picture."""
    placing = Placing.like(rows, batch.split, judge.classes)
    classes, counts = batch.classes.count, {}
    for pick in picks:
        mask, said = returned.masks[pick.name](), batch.predicted(pick)
        both = np.minimum(said, classes), np.minimum(mask, classes)
        counts[pick.image_sha] = confusion(*both, classes + 1)[:, : classes + 1]
        image = pick.image or placing.new_image(pick.drive, pick.id, Path(pick.picture).suffix)
        path = good / placing.mask_of(image, pick.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(placing.encoded(mask))
        if not pick.image:
            (good / image).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(batch.picture(pick), good / image)
    return counts


def _splits(batch: Batch, picks: list[Pick], rows: list[dict[str, Any]]) -> dict[str, str]:
    """The split of each drive: the batch's for what is new or was in test, else as it is."""
    present = {_unit(row): row["split"] for row in rows}
    return {
        pick.unit: batch.split if present.get(pick.unit, "test") == "test" else present[pick.unit] for pick in picks
    }


def _unit(row: dict[str, Any]) -> str:
    return row["drive"] or _id(row)


def _id(row: dict[str, Any]) -> str:
    parts = [part for part in (row["split"], row["drive"]) if part]
    return str(row["sample"]).removeprefix("/".join(parts) + "/")


def _unlabelled(picks: list[Pick], rows: list[dict[str, Any]], splits: dict[str, str]) -> dict[str, str]:
    """Images of these drives that stay without a mask, as they are called in their new split, with their digests."""
    made = {(pick.drive, pick.id) for pick in picks}
    return {
        "/".join(filter(None, (splits[_unit(row)], row["drive"], _id(row)))): row["image_sha"] or ""
        for row in rows
        if _unit(row) in splits and not row["mask"] and (row["drive"] or "", _id(row)) not in made
    }


def _samples(picks: list[Pick], splits: dict[str, str]) -> set[str]:
    """What picks are called in their new split."""
    return {"/".join(filter(None, (splits[pick.unit], pick.drive, pick.id))) for pick in picks}


def _listed(
    before: list[Quarantined], batch: Batch, left_out: dict[str, str], picks: list[Pick], splits: dict[str, str]
) -> list[Quarantined]:
    """The quarantine list with what stays unlabelled, and without what was and is labelled now."""
    done = _samples(picks, splits)
    kept = [entry for entry in before if not (entry.sample in done and entry.reason.startswith(UNLABELLED))]
    there = {entry.sample for entry in kept}
    fresh = [
        Quarantined(name, sha, f"{UNLABELLED} (batch {batch.name})")
        for name, sha in left_out.items()
        if name not in there
    ]
    return [*kept, *fresh]


def _judge(judge: Judge, batch: Batch, picks: list[Pick], raw: Path, folder: Path, layout: str) -> list[str]:
    """Scan and validate beside the present data; warnings.

    Raises:
        DataRefused: something is refused, or does not lie where scan finds it.
    """
    view = View(folder / paths.RAW, raw)
    view.add(batch.name, folder / "good")
    faults = [said for each in view.faults.values() for said in each.values()]
    warnings: list[str] = []
    if not faults and view.paths(batch.name):
        drives, refused = judge_deliveries(judge, view, [batch.name], layout)
        faults += refused.values()
        faults += [f"{drive.name}: {said}" for drive in drives for said in (*drive.reasons, drive.waits) if said]
        warnings = sorted({said for drive in drives for said in drive.warnings})
    if not faults:
        found = {(row["drive"] or "", _id(row)) for row in judge.scanned(view.root, layout).records() if row["mask"]}
        lost = [pick.name for pick in picks if (pick.drive, pick.id) not in found]
        faults += [f"{_shown(lost)}: has no place in data/raw (layout {layout})"] if lost else []
    if faults:
        raise DataRefused(f"batch {batch.name}: {_shown(faults)}; nothing was taken")
    return warnings


def _shown(listed: list[str]) -> str:
    more = f"; and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return "; ".join(listed[:SHOWN]) + more


def changed_by_class(counts: np.ndarray, names: list[str]) -> list[tuple[str, int, int]]:
    """Of each class: name, pixels that the model gave it, and how many of these people gave to another.

    Args:
        counts: see `Taken.counts`.
        names: of the classes; void is last in `counts`.
    """
    said = counts.sum(1)
    return [(name, int(said[at]), int(said[at] - counts[at, at])) for at, name in enumerate(names)]
