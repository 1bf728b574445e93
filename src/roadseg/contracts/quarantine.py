"""data/quarantine.csv: samples that are left out, with the reason; nothing is moved or deleted."""

import csv
from dataclasses import asdict, dataclass
from pathlib import Path

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import replacing

FIELDS = ("sample", "image_sha", "reason")


@dataclass(frozen=True)
class Quarantined:
    """One sample that is left out.

    Attributes:
        sample: its name in the scan.
        image_sha: digest of the image it was looked at with; with another image it is judged anew. Empty: any.
        reason: why, in words.
    """

    sample: str
    image_sha: str
    reason: str

    def covers(self, sample: str, image_sha: str | None) -> bool:
        """Whether a sample of the scan is meant."""
        return sample == self.sample and self.image_sha in {"", image_sha}


def read_quarantine(path: Path) -> list[Quarantined]:
    """Read the list.

    Raises:
        UsageError: missing, not UTF-8, without its heading, or a line that is cut; names the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.DictReader(opened, strict=True)
            if tuple(rows.fieldnames or ()) != FIELDS:
                raise UsageError(f"{path}: the first line must be {','.join(FIELDS)}")
            read = []
            for row in rows:
                if None in row or None in row.values():
                    raise UsageError(f"{path}: line {rows.line_num} must have {len(FIELDS)} fields")
                read.append(Quarantined(**row))
            return read
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: `roadseg data import` writes it") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid CSV in UTF-8: {error}") from None


def write_quarantine(path: Path, entries: list[Quarantined]) -> None:
    """Write the list, sorted, atomically."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(entry) for entry in sorted(entries, key=lambda entry: entry.sample))
