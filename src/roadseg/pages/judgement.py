"""What validate judged and how, read from the files that it left."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import read_json
from roadseg.contracts.manifest import Manifest, read_manifest

REMEDY = "dvc repro validate"


@dataclass(frozen=True)
class Expectation:
    """One expectation and what it flagged.

    Attributes:
        observed: in words, such as "3 of 1403 samples".
        failing: count of failing samples.
        flagged: columns sample and reason, one row per failing sample; empty where it judges the data as a whole.
    """

    name: str
    severity: str
    passed: bool
    observed: str
    failing: int
    flagged: pd.DataFrame


@dataclass(frozen=True)
class Judgement:
    """A verdict with the data it is about.

    Attributes:
        expectations: failing before passing, critical before warnings.
        scan: every sample found.
        judged: the scan without the quarantined samples.
        quarantine: the lines of data/quarantine.csv, each with `found`: whether the scan holds the sample.
    """

    accepted: bool
    expectations: list[Expectation]
    scan: Manifest
    judged: Manifest
    quarantine: list[dict[str, Any]]

    @property
    def failing(self) -> list[Expectation]:
        """The expectations that do not hold, critical first."""
        return [expectation for expectation in self.expectations if not expectation.passed]

    def flagged_samples(self, severity: str) -> int:
        """How many samples the failing expectations of a severity name, each counted once."""
        return len({sample for each in self.failing if each.severity == severity for sample in each.flagged["sample"]})


def read_judgement(tree: Path) -> Judgement:
    """Read what scan and validate left in a tree.

    Raises:
        UsageError: a file is missing or damaged; says what to run.
    """
    scan = read_manifest(tree / "data/scan.parquet", "scan")
    verdict = read_json(tree / "reports/verdict.json", "verdict", REMEDY)
    quarantine, samples = _quarantine(tree / "data/quarantine.csv"), set(scan.rows["sample"].to_pylist())
    listed = {entry["sample"] for entry in quarantine}
    return Judgement(
        accepted=bool(verdict["passed"]),
        expectations=_expectations(verdict["expectations"], _flagged(tree / "reports/flagged.parquet")),
        scan=scan,
        judged=scan.where([sample not in listed for sample in scan.rows["sample"].to_pylist()]),
        quarantine=[entry | {"found": entry["sample"] in samples} for entry in quarantine],
    )


def _expectations(entries: list[dict[str, Any]], flagged: pd.DataFrame) -> list[Expectation]:
    by_name = {str(name): rows for name, rows in flagged.groupby("expectation", sort=False)}
    read = [
        Expectation(
            entry["name"],
            entry["severity"],
            entry["passed"],
            entry["observed"],
            entry["failing"],
            by_name.get(entry["name"], flagged.iloc[:0])[["sample", "reason"]],
        )
        for entry in entries
    ]
    return sorted(read, key=lambda expectation: (expectation.passed, expectation.severity != "critical"))


def _flagged(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path, columns=["sample", "expectation", "reason"])
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}): run `{REMEDY}`") from None


def _quarantine(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as opened:
        return [
            {"sample": row.get("sample") or "", "reason": row.get("reason") or ""} for row in csv.DictReader(opened)
        ]
