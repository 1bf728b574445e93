"""One look at an inbox: read what is new, judge it apart, refuse what is bad, add what is good to data/raw."""

import time
from pathlib import Path

from roadseg.contracts import paths
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.files import failpoint, home
from roadseg.intake.inbox.deliveries import seen
from roadseg.intake.inbox.judging import Drive, Judge, judge_deliveries
from roadseg.intake.inbox.memory import Fate, Memory, minute
from roadseg.intake.inbox.options import DAY, Inbox
from roadseg.intake.inbox.placing import belongs
from roadseg.intake.inbox.reading import Read, news, read_all, scratch
from roadseg.intake.inbox.refusing import put_away, put_out
from roadseg.intake.inbox.report import Report
from roadseg.intake.inbox.view import View
from roadseg.intake.merge import merge_placed
from roadseg.intake.places import alone
from roadseg.scan.layouts.known import look

FAILPOINTS = (
    *("inbox:read", "inbox:judged", "inbox:refuse", "inbox:refusing", "inbox:refused", "inbox:begun", "inbox:merged"),
    *("inbox:confirmed", "inbox:move", "inbox:moved"),
)


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
        Busy: another import works in the tree.
        RoadsegError: the disk is full or cannot be written to.
    """
    with alone(tree):
        pass  # an addition that was killed is made whole first, so that what comes is judged beside it
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
    with scratch() as folder:
        layout = look(raw, **judge.found_by)[0]
        read, known = read_all(fresh, memory, folder, again=inbox.again)
        report.notes += known
        failpoint("inbox:read")
        view = View(folder / paths.RAW, raw)
        drives = _judged(read, judge, view, layout)
        failpoint("inbox:judged")
        report.fates = {one.digest: _fate(one, drives, view, memory, inbox) for one in read}
        report.warnings = sorted(said for drive in drives if drive.good for said in drive.warnings)
        if dry_run:
            return report
        _refuse(read, drives, view, inbox, report)
        memory.begin(report.fates)
        failpoint("inbox:begun")
        report.new = _merge(tree, [drive for drive in drives if drive.good and drive.files], view, folder / "good")
        failpoint("inbox:merged")
        report.drives = memory.unsaid
    return report


def finish(inbox: Inbox, memory: Memory, report: Report) -> list[str]:
    """The data are safe and told of: remember it, and move what was taken where the options say so.

    Args:
        inbox: the folder and its options.
        memory: that `take` had.
        report: what it gave; what an earlier look began and this one did not see again is not counted as taken.

    Returns:
        What was moved, as sentences.
    """
    memory.confirm(report.fates)
    failpoint("inbox:confirmed")
    moved = []
    if inbox.after == "move":
        for path, entry in sorted(memory.seen.items()):
            fate = memory.fates.get(entry.digest)
            if fate and not fate.waits and Path(path).exists() and seen(Path(path)).stand == entry.stand:
                wholly_refused = bool(fate.refused) and not fate.drives
                target = inbox.refused / "originals" if wholly_refused else inbox.taken
                try:
                    moved.append(f"{Path(path).name} is moved to {put_away(target, Path(path))}")
                except OSError as error:
                    moved.append(f"{Path(path).name} stays where it is: {target}: {error.strerror}")
    return moved


def _judged(read: list[Read], judge: Judge, view: View, layout: str) -> list[Drive]:
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


def _of(one: Read, drives: list[Drive], view: View) -> list[Drive]:
    """The drives that a delivery has a part in."""
    return [
        drive
        for drive in drives
        if drive.delivery == one.name
        or (not drive.delivery and any(view.origin[path] == one.name for path in drive.files))
    ]


def _fate(one: Read, drives: list[Drive], view: View, memory: Memory, inbox: Inbox) -> Fate:
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


def _refuse(read: list[Read], drives: list[Drive], view: View, inbox: Inbox, report: Report) -> None:
    for one in read:
        if refused := report.fates[one.digest].refused:
            files = [path for drive in _of(one, drives, view) if drive.reasons for path in drive.files]
            copied = {path: view.file(path) for path in files if view.origin[path] == one.name}
            try:
                place = put_out(inbox.refused, one.delivery.path, refused, copied)
            except OSError as error:
                report.notes.append(f"{inbox.refused} cannot be written to: {error.strerror}")
                place = put_out(home() / "inbox/refused", one.delivery.path, refused, copied)
            report.notes.append(f"the reasons why not all of {one.name} was taken stand in {place}")


def _merge(tree: Path, drives: list[Drive], view: View, good: Path) -> int:
    """Add the files of good drives to data/raw; how many were new."""
    for path in [path for drive in drives for path in drive.files]:
        (good / path).parent.mkdir(parents=True, exist_ok=True)
        view.file(path).rename(good / path)
    return merge_placed(tree, good).new if drives else 0
