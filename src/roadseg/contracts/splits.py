"""data/splits.csv: drives whose split is decided here, before folders, lists and made splits; nothing is moved."""

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import replacing
from roadseg.contracts.manifest import SPLITS

FIELDS = ("drive", "split", "dataset", "batch")


@dataclass(frozen=True)
class Decided:
    """One drive's split.

    Attributes:
        drive: its name in the scan; of a sample without a drive its id.
        split: train, val or test.
        dataset: name of the data set whose drive is meant, `scan.dataset`; empty: of any.
        batch: of labels that decided it; empty where a person did.
    """

    drive: str
    split: str
    dataset: str = ""
    batch: str = ""


def read_splits(path: Path) -> list[Decided]:
    """Read the list; a checkout of before there was one has none, which decides nothing.

    Raises:
        UsageError: not UTF-8, without its heading, a line that is cut, an unknown split, or two splits for a drive;
            names the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.DictReader(opened, strict=True)
            if tuple(rows.fieldnames or ()) != FIELDS:
                raise UsageError(f"{path}: the first line must be {','.join(FIELDS)}")
            found: dict[tuple[str, str], Decided] = {}
            for row in rows:
                if None in row or None in row.values():
                    raise UsageError(f"{path}: line {rows.line_num} must have {len(FIELDS)} fields")
                _note(found, Decided(**row), f"{path}: line {rows.line_num}")
            return list(found.values())
    except FileNotFoundError:
        return []
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid CSV in UTF-8: {error}") from None


def _note(found: dict[tuple[str, str], Decided], line: Decided, place: str) -> None:
    if line.split not in SPLITS or not line.drive:
        raise UsageError(
            f"{place}: give a drive and one of {', '.join(SPLITS)}, found {line.drive!r} and {line.split!r}"
        )
    before = found.setdefault((line.dataset, line.drive), line)
    if before.split != line.split:
        raise UsageError(
            f"{place}: drive {line.drive} is {before.split} in a line above and {line.split} here; keep one"
        )


def write_splits(path: Path, lines: Iterable[Decided]) -> None:
    """Write the list, sorted, atomically."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(line) for line in sorted(lines, key=lambda line: (line.dataset, line.drive)))


def decide_splits(path: Path, splits: dict[str, str], dataset: str, batch: str = "") -> None:
    """Put drives into splits; later lines replace earlier ones of the same drive, and equal ones change nothing.

    Args:
        path: the list, made if absent.
        splits: by drive.
        dataset, batch: see `Decided`.
    """
    before = read_splits(path)
    kept = [line for line in before if line.drive not in splits or line.dataset not in ("", dataset)]
    same = {line.drive: line for line in before if line.dataset == dataset and splits.get(line.drive) == line.split}
    lines = kept + [same.get(drive) or Decided(drive, split, dataset, batch) for drive, split in splits.items()]
    if not path.exists() or set(lines) != set(before):
        write_splits(path, lines)


def splits_of(lines: Iterable[Decided], dataset: str) -> dict[str, str]:
    """The split of each drive of a data set that lines decide; a line for it goes before one for any."""
    ordered = sorted(lines, key=lambda line: line.dataset != "")
    return {line.drive: line.split for line in ordered if line.dataset in ("", dataset)}
