"""What validate judged and how, read from the files that it left."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from roadseg.contracts import paths
from roadseg.contracts.manifest import Manifest, read_manifest
from roadseg.contracts.quarantine import Quarantined, read_quarantine
from roadseg.contracts.verdict import Expected, Flagged, read_flagged, read_verdict


@dataclass(frozen=True)
class Expectation:
    """One expectation and what it flagged.

    Attributes:
        observed: what was seen, in words, such as "3 of 1403 samples".
        failing: count of failing rows.
        flagged: columns sample and reason, one row per failing sample.
        reasons: why splits, classes or tables fail.
    """

    name: str
    severity: str
    passed: bool
    observed: str
    failing: int
    flagged: pd.DataFrame
    reasons: list[str]


@dataclass(frozen=True)
class Judgement:
    """A verdict with the data it is about.

    Attributes:
        expectations: failing before passing, critical before warnings.
        scan: every sample found.
        judged: the scan without the quarantined samples.
        quarantine: the list.
        left_out: how many samples of the scan the list leaves out.
    """

    accepted: bool
    expectations: list[Expectation]
    scan: Manifest
    judged: Manifest
    quarantine: list[Quarantined]
    left_out: int

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
    scan = read_manifest(tree / paths.SCAN, "scan")
    verdict = read_verdict(tree / paths.VERDICT)
    quarantine = read_quarantine(tree / paths.QUARANTINE)
    judged, left_out = scan.without(quarantine)
    flagged: dict[str, list[Flagged]] = {}
    for row in read_flagged(tree / paths.FLAGGED):
        flagged.setdefault(row.expectation, []).append(row)
    read = [_expectation(expected, flagged.get(expected.name, [])) for expected in verdict.expectations]
    return Judgement(
        accepted=verdict.passed,
        expectations=sorted(read, key=lambda expectation: (expectation.passed, expectation.severity != "critical")),
        scan=scan,
        judged=judged,
        quarantine=quarantine,
        left_out=left_out,
    )


def _expectation(expected: Expected, flagged: list[Flagged]) -> Expectation:
    samples = [(row.sample, row.reason) for row in flagged if row.sample is not None]
    reasons = [row.reason for row in flagged if row.sample is None]
    return Expectation(
        expected.name,
        expected.severity,
        expected.passed,
        expected.observed,
        expected.failing,
        pd.DataFrame(samples, columns=["sample", "reason"]),
        reasons,
    )
