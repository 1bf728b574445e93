"""Scan and validate of new drives beside the present data, as the stages will judge them later."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any

from roadseg.contracts import paths
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.manifest import Manifest
from roadseg.contracts.params import read_params
from roadseg.contracts.quarantine import Quarantined, read_quarantine
from roadseg.contracts.reference import read_reference
from roadseg.contracts.splits import read_splits, splits_of
from roadseg.contracts.verdict import Flagged
from roadseg.intake.inbox.view import View
from roadseg.pipeline.runner import SECTIONS
from roadseg.scan.stage import ScanParams, scanned
from roadseg.validate.stage import ValidateParams, judged

Failed = dict[tuple[str | None, str], str]  # reasons by sample and expectation

HALVES = {"mask_present": "images wait for their masks", "image_present": "masks wait for their images"}


@dataclass
class Drive:
    """What is new of one drive; without drives, of one delivery.

    Attributes:
        name: `<split>/<drive>`, or the delivery's.
        files: paths below data/raw.
        delivery: whose files clash with others of the drive; the rest of the drive is judged without them.
        reasons: why it is refused.
        waits: what it lacks, in words; empty where it is whole.
        warnings: what is allowed, and worth a look.
    """

    name: str
    files: list[str] = field(default_factory=list)
    delivery: str = ""
    reasons: list[str] = field(default_factory=list)
    waits: str = ""
    warnings: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether it may enter data/raw."""
        return not self.reasons and not self.waits


@dataclass(frozen=True)
class Judge:
    """What data are judged by: parameters, class table, quarantine, reference and decided splits of one tree."""

    scan: ScanParams
    validate: ValidateParams
    classes: ClassTable
    quarantine: list[Quarantined]
    reference: Path
    splits: Mapping[str, str]

    @classmethod
    def of(cls, tree: Path) -> "Judge":
        """Read them.

        Raises:
            UsageError: a file is missing or faulty.
        """
        sections = read_params(SECTIONS, tree / paths.PARAMS)
        scan, validate = sections["scan"], sections["validate"]
        assert isinstance(scan, ScanParams)
        assert isinstance(validate, ValidateParams)
        classes = ClassTable.read(tree / paths.CLASSES)
        splits = splits_of(read_splits(tree / paths.SPLITS), scan.dataset)
        quarantine = read_quarantine(tree / paths.QUARANTINE)
        return cls(scan, validate, classes, quarantine, tree / paths.REFERENCE, splits)

    @property
    def found_by(self) -> dict[str, str]:
        """How files are found, see `known.look`."""
        return {"layout": self.scan.layout, "images": self.scan.images, "masks": self.scan.masks}

    def scanned(self, root: Path, layout: str) -> Manifest:
        """What is in a folder.

        Raises:
            DataRefused, UsageError: see `scan.stage.scanned`; or it has another layout than `layout`.
        """
        with redirect_stdout(StringIO()):  # it would tell the same of every round
            found = scanned(root, self.classes, self.scan, self.splits)
        if found.layout != layout:
            raise DataRefused(f"with it data/raw would be read as layout {found.layout}, not as {layout}")
        return found

    def flagged(self, found: Manifest) -> list[Flagged]:
        """Every expectation that fails, see `validate.stage.judged`."""
        kept = found.without(self.quarantine)[0]
        return judged(kept, read_reference(self.reference, kept.classes.name), self.validate)[1]


def judge_deliveries(judge: Judge, view: View, names: list[str], layout: str) -> tuple[list[Drive], dict[str, str]]:
    """Judge what deliveries bring.

    Args:
        judge: by what.
        view: the deliveries beside the present data; in the end it shows the good drives alone.
        names: of the deliveries.
        layout: of the present data.

    Returns:
        The drives, and reasons by delivery where scan could not read the data with it.
    """
    refused = {}
    try:
        found = judge.scanned(view.root, layout)
    except (DataRefused, UsageError):
        refused = _unreadable(judge, view, names, layout)
        found = judge.scanned(view.root, layout)
    drives, clashing = _drives(found.records(), view)
    view.hide([path for drive in clashing for path in drive.files])
    _judge(judge, view, drives, layout)
    return [*drives.values(), *clashing], refused


def _unreadable(judge: Judge, view: View, names: list[str], layout: str) -> dict[str, str]:
    """Deliveries with which scan reads the data no more, found by adding one after another."""
    refused = {}
    for name in names:
        view.hide(view.paths(name))
    for name in names:
        view.show(view.paths(name))
        try:
            judge.scanned(view.root, layout)
        except (DataRefused, UsageError) as error:
            refused[name] = str(error).replace(str(view.root), paths.RAW.as_posix())
            view.hide(view.paths(name))
    return refused


def _drives(rows: list[dict[str, Any]], view: View) -> tuple[dict[str, Drive], list[Drive]]:
    """New files by drive, and parts of drives that clash; what lies beside no sample is left out."""
    drive_of = _owners(rows, view)
    clashing: dict[tuple[str, str], Drive] = {}
    for delivery, faults in view.faults.items():
        for path, said in faults.items():
            if name := drive_of(path, delivery):
                clashing.setdefault((name, delivery), Drive(name, delivery=delivery)).reasons.append(said)
    drives: dict[str, Drive] = {}
    for path, delivery in view.origin.items():
        if (view.root / path).is_symlink() and (name := drive_of(path, delivery)):
            drive = clashing.get((name, delivery)) or drives.setdefault(name, Drive(name))
            drive.files.append(path)
    return drives, list(clashing.values())


def _owners(rows: list[dict[str, Any]], view: View) -> Callable[[str, str], str | None]:
    """What finds the drive of a delivery's file: that of its sample, else of the only drive beside it."""
    owner: dict[str, str | None] = {}
    for row in rows:
        files = [path for path in (row["image"], row["mask"]) if path]
        origin = next((view.origin[path] for path in files if path in view.origin), None)
        owner |= dict.fromkeys(files, f"{row['split']}/{row['drive']}" if row["drive"] else origin)
    beside = defaultdict(set)
    for path, name in owner.items():
        beside[PurePosixPath(path).parent].add(name)

    def drive_of(path: str, delivery: str) -> str | None:
        if path in owner:
            return owner[path] or delivery
        names = beside[PurePosixPath(path).parent]
        return (next(iter(names)) or delivery) if len(names) == 1 else None

    return drive_of


def _judge(judge: Judge, view: View, drives: dict[str, Drive], layout: str) -> None:
    """Take drives with failing samples out until no new sample fails; then look for what only others fail by."""
    while any(drive.good for drive in drives.values()):
        found = judge.scanned(view.root, layout)
        flagged = judge.flagged(found)
        by_drive, others = _by_drive(flagged, found, drives)
        for drive in drives.values():
            if drive.good:
                _settle(drive, by_drive[drive.name])
        if bad := [drive for drive in drives.values() if not drive.good and by_drive[drive.name]]:
            view.hide([path for drive in bad for path in drive.files])
            continue
        known = _alone(judge, view, drives, layout) if others else {}
        if others.keys() - known:
            _judge_each(judge, view, drives, layout, known)
        return


def _settle(drive: Drive, flagged: list[Flagged]) -> None:
    drive.warnings = [each.reason for each in flagged if each.severity == "warning"]
    critical = [each for each in flagged if each.severity == "critical"]
    if critical and all(each.expectation in HALVES for each in critical):
        counts = Counter(each.expectation for each in critical)
        drive.waits = ", ".join(f"{counts[name]} {said}" for name, said in HALVES.items() if counts[name])
    else:
        drive.reasons += [each.reason for each in critical]


def _by_drive(
    flagged: Iterable[Flagged], found: Manifest, drives: dict[str, Drive]
) -> tuple[defaultdict[str, list[Flagged]], Failed]:
    """What failed by the drive whose new files are in it, and the critical rest: present samples, splits, classes."""
    new = {path: drive.name for drive in drives.values() if drive.good for path in drive.files}
    files = {row["sample"]: (row["image"], row["mask"]) for row in found.records()}
    by_drive, others = defaultdict(list), []
    for each in flagged:
        name = next((new[path] for path in files.get(each.sample or "", ()) if path in new), None)
        if name:
            by_drive[name].append(each)
        else:
            others.append(each)
    return by_drive, _critical(others)


def _critical(flagged: Iterable[Flagged]) -> Failed:
    return {(each.sample, each.expectation): each.reason for each in flagged if each.severity == "critical"}


def _alone(judge: Judge, view: View, drives: dict[str, Drive], layout: str) -> Failed:
    """What the present data fail by without any delivery."""
    shown = [path for drive in drives.values() if drive.good for path in drive.files]
    view.hide(shown)
    failed = _critical(judge.flagged(judge.scanned(view.root, layout)))
    view.show(shown)
    return failed


def _judge_each(judge: Judge, view: View, drives: dict[str, Drive], layout: str, known: Failed) -> None:
    """Add one drive after another; refuse the one by which others start to fail, as by a copy in another split."""
    good = [drive for drive in drives.values() if drive.good]
    view.hide([path for drive in good for path in drive.files])
    for drive in good:
        view.show(drive.files)
        failed = _critical(judge.flagged(judge.scanned(view.root, layout)))
        if new := sorted(reason for key, reason in failed.items() if key not in known):
            drive.reasons += new
            view.hide(drive.files)
