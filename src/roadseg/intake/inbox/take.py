"""One look at an inbox: read what is new, judge it apart, refuse what is bad, add what is good to data/raw."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from roadseg.contracts import paths
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.files import digest_file, failpoint, home
from roadseg.intake.inbox.deliveries import Delivery, at_rest, seen
from roadseg.intake.inbox.judging import Drive, Judge, judge_deliveries
from roadseg.intake.inbox.memory import Fate, Memory, minute
from roadseg.intake.inbox.options import Inbox
from roadseg.intake.inbox.placing import belongs, digest_below, stage
from roadseg.intake.inbox.refusing import put_away, put_out
from roadseg.intake.inbox.view import View
from roadseg.intake.merge import merge_placed
from roadseg.scan.layouts.known import look

DAY = 86400.0  # seconds
FAILPOINTS = (
    *("inbox:read", "inbox:judged", "inbox:refuse", "inbox:refusing", "inbox:refused", "inbox:begun", "inbox:merged"),
    *("inbox:confirmed", "inbox:move", "inbox:moved"),
)


@dataclass
class Report:
    """What a look has done.

    Attributes:
        fates: what became of deliveries, by digest of their content.
        notes: sentences on all else: what is known, still arriving, left alone.
        warnings: of validate, on samples of good drives.
        new: files that were added to data/raw.
        drives: those that were added and that nobody was told of yet.
        dry: whether nothing was done, only judged.
    """

    fates: dict[str, Fate] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    new: int = 0
    drives: list[str] = field(default_factory=list)
    dry: bool = False

    def content(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"fates": {digest: fate.model_dump() for digest, fate in self.fates.items()}}

    @classmethod
    def of(cls, content: dict[str, Any]) -> "Report":
        """Of what `content` gave."""
        known = {name: value for name, value in content.items() if name in cls.__dataclass_fields__}
        return cls(**known | {"fates": {digest: Fate(**fate) for digest, fate in content["fates"].items()}})

    def lines(self) -> list[str]:
        """What people read of it, the worst first."""
        refused = [
            f"refused: {fate.name}: {drive}: {reasons[0]}" + (f"; and {len(reasons) - 1} more" if reasons[1:] else "")
            for fate in self.fates.values()
            for drive, reasons in fate.refused.items()
        ]
        waits = [
            f"waits: {fate.name}: {drive}: {said}" for fate in self.fates.values() for drive, said in fate.waits.items()
        ]
        taken = [
            f"{'good' if self.dry else 'taken'}: {fate.name}: {', '.join(fate.drives)}"
            for fate in self.fates.values()
            if fate.drives
        ]
        return [*refused, *waits, *taken, *(f"warning: {said}" for said in self.warnings), *self.notes]


@dataclass
class _Read:
    """A delivery that was unpacked: its folder, the digest of its content, and reasons to refuse all of it."""

    delivery: Delivery
    folder: Path
    digest: str = ""
    reasons: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.delivery.name


def news(inbox: Inbox, memory: Memory) -> tuple[list[Delivery], list[str]]:
    """Wait until deliveries rest; those that have to be read, and sentences on all others.

    A delivery that waits for its other half is read again with whatever is new, or when it has waited too long.
    """
    found, notes = at_rest(inbox, memory)
    memory.save()
    fresh, waiting = [], []
    for one in found:
        fate = memory.fate(str(one.path))
        if fate is None or (inbox.again and fate.refused):
            fresh.append(one)
        elif fate.waits:
            waiting.append(one)
            if time.time() - fate.since >= inbox.days * DAY:
                fresh.append(one)
    if fresh:
        fresh += [one for one in waiting if one not in fresh]
    else:
        notes += [f"{one.name} waits: {_halves(memory, one)}" for one in waiting]
    return fresh, notes


def take(tree: Path, inbox: Inbox, memory: Memory, *, dry_run: bool = False) -> Report:
    """Judge what is new in an inbox and add the good drives to data/raw.

    A kill at any place loses nothing: until `finish` a delivery counts as new, and what data/raw has of it already
    is passed over.

    Args:
        tree: the folder that holds dvc.yaml.
        inbox: the folder and its options.
        memory: of the looks for this tree; `finish` writes into it what became of deliveries.
        dry_run: judge, and change nothing.

    Raises:
        UsageError: no data to add to, or no inbox.
        RoadsegError: the disk is full or cannot be written to.
    """
    raw = tree / paths.RAW
    if not raw.is_dir():
        raise UsageError(
            f"{raw} is missing, so nothing can be added to it: `roadseg data import` brings the first data"
        )
    fresh, notes = news(inbox, memory)
    report = Report(notes=notes, drives=memory.unsaid, dry=dry_run)
    if not fresh:
        return report
    judge = Judge.of(tree)
    with _scratch() as scratch:
        layout = look(raw, **judge.found_by)[0]
        read = _read(fresh, memory, scratch, report, again=inbox.again)
        failpoint("inbox:read")
        view = View(scratch / "data/raw", raw)
        drives = _judged(read, judge, view, layout)
        failpoint("inbox:judged")
        report.fates = {one.digest: _fate(one, drives, view, memory, inbox) for one in read}
        report.warnings = sorted(said for drive in drives if drive.good for said in drive.warnings)
        if dry_run:
            return report
        _refuse(read, drives, view, inbox, report)
        memory.begin(report.fates)
        failpoint("inbox:begun")
        report.new = _merge(tree, [drive for drive in drives if drive.good and drive.files], view, scratch / "good")
        failpoint("inbox:merged")
        report.drives = memory.unsaid
    return report


def finish(inbox: Inbox, memory: Memory) -> list[str]:
    """The data are safe and told of: remember it, and move what was taken where the options say so.

    Returns:
        What was moved, as sentences.
    """
    memory.confirm()
    failpoint("inbox:confirmed")
    moved = []
    if inbox.after == "move":
        for path, entry in sorted(memory.seen.items()):
            fate = memory.fates.get(entry.digest)
            if fate and not fate.waits and Path(path).exists() and seen(Path(path)).stand == entry.stand:
                wholly_refused = bool(fate.refused) and not fate.drives
                place = put_away(inbox.refused / "originals" if wholly_refused else inbox.taken, Path(path))
                moved.append(f"{Path(path).name} is moved to {place}")
    return moved


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder in home that is empty, also after a kill, and gone afterwards; one look works at a time."""
    folder = home() / "inbox/scratch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read(fresh: list[Delivery], memory: Memory, scratch: Path, report: Report, *, again: bool) -> list[_Read]:
    """Unpack deliveries, the newest first, so that of two versions of a file the later is judged."""
    read: dict[str, _Read] = {}
    for number, delivery in enumerate(sorted(fresh, key=lambda one: (-memory.since(str(one.path)), one.name))):
        one = _Read(delivery, scratch / f"delivery-{number}")
        try:
            stage(delivery.path, one.folder)
            one.digest = digest_below(one.folder)
        except (DataRefused, UsageError) as error:
            archive = delivery.path.is_file()
            one.digest = digest_file(delivery.path) if archive else delivery.stand
            one.reasons = [str(error).removesuffix("; nothing was imported").replace(f"{delivery.path}", delivery.name)]
        if seen(delivery.path) != delivery:
            report.notes.append(f"{delivery.name} has changed while it was read: the next look takes it")
            continue
        memory.seen[str(delivery.path)].digest = one.digest
        fate = memory.fates.get(one.digest)
        if fate and not fate.waits and not (again and fate.refused):
            report.notes.append(f"{delivery.name} holds what {fate.name} held, {fate.state} {fate.when}")
        elif first := read.get(one.digest):
            report.notes.append(f"{delivery.name} holds what {first.name} holds")
        else:
            read[one.digest] = one
    return list(read.values())


def _judged(read: list[_Read], judge: Judge, view: View, layout: str) -> list[Drive]:
    """Place and judge; what refuses a delivery as a whole goes to its reasons."""
    for one in read:
        if not one.reasons:
            try:
                view.add(one.name, belongs(one.name, one.folder, view.root, layout, judge.found_by))
            except DataRefused as error:
                one.reasons = [str(error)]
    drives: list[Drive] = []
    if names := [one.name for one in read if not one.reasons and (view.paths(one.name) or view.faults[one.name])]:
        drives, refused = judge_deliveries(judge, view, names, layout)
        for one in read:
            one.reasons += [refused[one.name]] if one.name in refused else []
    for one in read:
        if not one.reasons and not view.equal[one.name] and not _of(one, drives, view):
            one.reasons = [f"{one.name} holds no sample that has a place in data/raw (layout {layout})"]
    return drives


def _of(one: _Read, drives: list[Drive], view: View) -> list[Drive]:
    """The drives that a delivery has a part in."""
    faults = view.faults.get(one.name, {}).keys()
    return [
        drive
        for drive in drives
        if any(view.origin[path] == one.name for path in drive.files) or faults & drive.faults.keys()
    ]


def _fate(one: _Read, drives: list[Drive], view: View, memory: Memory, inbox: Inbox) -> Fate:
    """What becomes of a delivery; what it had brought before, while it waited or was killed, still counts."""
    before = [known[one.digest] for known in (memory.fates, memory.pending) if one.digest in known]
    since = min([fate.since for fate in before], default=time.time())
    fate = Fate(name=one.name, when=minute(), since=since)
    if one.reasons:
        fate.refused = {one.name: one.reasons}
        return fate
    for drive in _of(one, drives, view):
        if drive.waits and time.time() - since >= inbox.days * DAY:
            drive.reasons.append(f"{drive.waits}, which did not come in {inbox.days} days")
            drive.waits = ""
        if drive.reasons:
            fate.refused[drive.name] = drive.reasons
        elif drive.waits:
            fate.waits[drive.name] = drive.waits
        else:
            fate.drives.append(drive.name)
    earlier = {name for known in before for name in known.drives} - fate.refused.keys() - fate.waits.keys()
    fate.drives = sorted({*fate.drives, *earlier})
    return fate


def _refuse(read: list[_Read], drives: list[Drive], view: View, inbox: Inbox, report: Report) -> None:
    for one in read:
        if refused := report.fates[one.digest].refused:
            files = [path for drive in _of(one, drives, view) if drive.reasons for path in drive.files]
            copied = {path: view.file(path) for path in files if view.origin[path] == one.name}
            place = put_out(inbox.refused, one.delivery.path, refused, copied)
            report.notes.append(f"the reasons why not all of {one.name} was taken stand in {place}")


def _merge(tree: Path, drives: list[Drive], view: View, good: Path) -> int:
    """Add the files of good drives to data/raw; how many were new."""
    for path in [path for drive in drives for path in drive.files]:
        (good / path).parent.mkdir(parents=True, exist_ok=True)
        view.file(path).rename(good / path)
    return merge_placed(tree, good).new if drives else 0


def _halves(memory: Memory, one: Delivery) -> str:
    fate = memory.fate(str(one.path))
    return "; ".join(f"{drive}: {said}" for drive, said in sorted(fate.waits.items())) if fate else ""
