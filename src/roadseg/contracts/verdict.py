"""reports/verdict.json and reports/flagged.parquet: how the data were judged, and every failing row."""

from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import read_json, replacing, write_json

REMEDY = "dvc repro validate"
COLUMNS = pa.schema({name: pa.string() for name in ("sample", "expectation", "severity", "reason")})


@dataclass(frozen=True)
class Expected:
    """How one expectation came out; `failing` counts its rows."""

    name: str
    severity: str
    passed: bool
    observed: str
    failing: int


@dataclass(frozen=True)
class Verdict:
    """Whether the data were accepted, and each expectation."""

    passed: bool
    expectations: list[Expected]


@dataclass(frozen=True)
class Flagged:
    """One failing row of one expectation; `sample` is None where a split, a class or the table failed."""

    sample: str | None
    expectation: str
    severity: str
    reason: str


def write_verdict(path: Path, verdict: Verdict) -> None:
    """Write the verdict as JSON."""
    write_json(path, "verdict", asdict(verdict))


def read_verdict(path: Path) -> Verdict:
    """Read what `write_verdict` wrote; errors as in `read_json`."""
    content = read_json(path, "verdict", REMEDY)
    return Verdict(content["passed"], [Expected(**entry) for entry in content["expectations"]])


def write_flagged(path: Path, rows: list[Flagged]) -> None:
    """Write all failing rows as a table."""
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist([asdict(row) for row in rows], COLUMNS), temporary)


def read_flagged(path: Path) -> list[Flagged]:
    """Read what `write_flagged` wrote.

    Raises:
        UsageError: absent or damaged; says what to run.
    """
    try:
        table = pq.read_table(path, schema=COLUMNS)
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: run `{REMEDY}`") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise UsageError(f"{path} is damaged ({error}): run `{REMEDY}`") from None
    return [Flagged(**row) for row in table.to_pylist()]
