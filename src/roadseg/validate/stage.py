"""Stage validate: judge the data; accept it as the manifest, or refuse with files and reasons."""

import csv
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.files import replacing, write_json
from roadseg.contracts.manifest import read_manifest, write_manifest
from roadseg.contracts.params import Section
from roadseg.validate.rules import Rule, judged, rules

READS = ("data/scan.parquet", "data/quarantine.csv", "data/reference.json")
WRITES = ("data/manifest.parquet", "reports/flagged.parquet", "reports/verdict.json")

FLAGGED = pa.schema({name: pa.string() for name in ("sample", "expectation", "severity", "reason")})
SHOWN = 10


class ValidateParams(Section):
    """What validate may be told."""

    brightness_min: float = Field(ge=0, le=1, description="darker images are warned of; mean grey level, 0..1")
    brightness_max: float = Field(ge=0, le=1, description="brighter images are warned of; mean grey level, 0..1")
    void_max: float = Field(ge=0, le=1, description="masks with a larger share of void pixels are warned of, 0..1")


def run(*, validate: ValidateParams) -> None:
    """Judge the scan without the quarantined samples.

    Raises:
        DataRefused: an expectation of severity critical fails; the verdict and every flagged
            sample are on disk then, the manifest is not.
    """
    from roadseg.validate.expectations import SPLITS_THERE, judge  # late: Great Expectations loads in seconds

    scan = read_manifest(Path("data/scan.parquet"), "scan")
    scan = scan.where((~scan.frame["sample"].isin(_quarantined(Path("data/quarantine.csv")))).tolist())
    _read_reference(Path("data/reference.json"))
    expected = rules(validate.brightness_min, validate.brightness_max, validate.void_max, scan.classes.name)
    frame = judged(scan.frame)
    results = judge(frame, expected)
    flagged = [
        {"sample": row["sample"], "expectation": result.name, "severity": result.severity, "reason": reason}
        for result in results
        if result.name in expected
        for row, reason in _reasons(frame.iloc[result.failing], expected[result.name])
    ]
    with replacing(Path("reports/flagged.parquet")) as temporary:
        pq.write_table(pa.Table.from_pylist(flagged, FLAGGED), temporary)
    critical = [result for result in results if not result.passed and result.severity == "critical"]
    verdict = [
        {"name": r.name, "severity": r.severity, "passed": r.passed, "observed": r.observed, "failing": len(r.failing)}
        for r in results
    ]
    write_json(Path("reports/verdict.json"), "verdict", {"passed": not critical, "expectations": verdict})
    _tell(flagged, "warning")
    if critical:
        _tell(flagged, "critical")
        if any(result.name == SPLITS_THERE for result in critical):
            print("critical: data/raw: train and val must both hold samples")
        raise DataRefused(
            f"the data are refused by {', '.join(result.name for result in critical)}: repair the files named above "
            "(all of them stand in reports/flagged.parquet) and run again"
        )
    write_manifest(Path("data/manifest.parquet"), "manifest", scan)
    print(f"validate: {len(frame)} samples accepted, {len(flagged)} warnings")


def _reasons(failing: pd.DataFrame, rule: Rule) -> list[tuple[dict[str, str], str]]:
    return [(row, rule.reason(row)) for row in failing.to_dict("records")]  # type: ignore[misc]


def _tell(flagged: list[dict[str, str]], severity: str) -> None:
    lines = [entry["reason"] for entry in flagged if entry["severity"] == severity]
    for line in lines[:SHOWN]:
        print(f"{severity}: data/raw/{line}")
    if len(lines) > SHOWN:
        print(f"{severity}: and {len(lines) - SHOWN} more in reports/flagged.parquet")


def _quarantined(path: Path) -> set[str]:
    try:
        with path.open(encoding="utf-8", newline="") as opened:
            return {row["sample"] for row in csv.DictReader(opened)}
    except KeyError:
        raise UsageError(f"{path}: the first line must be sample,image_sha,reason") from None


def _read_reference(path: Path) -> None:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is not valid JSON ({error}): `roadseg data import` writes it") from None
