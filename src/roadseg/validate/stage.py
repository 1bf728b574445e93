"""Stage validate: judge the data; accept it as the manifest, or refuse with files and reasons."""

from pathlib import Path

from roadseg.contracts import paths
from roadseg.contracts.errors import DataRefused
from roadseg.contracts.manifest import Manifest, Shares, read_manifest, write_manifest
from roadseg.contracts.quarantine import read_quarantine
from roadseg.contracts.reference import read_reference
from roadseg.contracts.verdict import Expected, Flagged, Verdict, write_flagged, write_verdict
from roadseg.validate import frames, rules
from roadseg.validate.limits import ValidateParams as ValidateParams

READS = (paths.SCAN, paths.QUARANTINE, paths.REFERENCE)
WRITES = (paths.MANIFEST, paths.FLAGGED, paths.VERDICT)

SHOWN = 10


def run(*, validate: ValidateParams) -> None:
    """Judge the scan without the quarantined samples.

    Raises:
        DataRefused: an expectation of severity critical fails; the verdict and every flagged
            sample are on disk then, the manifest is not.
    """
    paths.MANIFEST.unlink(missing_ok=True)  # what an earlier run accepted says nothing about this one
    scan = _without_quarantined(read_manifest(paths.SCAN, "scan"), paths.QUARANTINE)
    reference = read_reference(paths.REFERENCE, scan.classes.name)
    verdict, flagged = judged(scan, reference, validate)
    write_flagged(paths.FLAGGED, flagged)
    write_verdict(paths.VERDICT, verdict)
    _tell(flagged, "warning")
    if not verdict.passed:
        _tell(flagged, "critical")
        failed = [each.name for each in verdict.expectations if each.severity == "critical" and not each.passed]
        raise DataRefused(
            f"the data are refused by {', '.join(failed)}: repair the files named above (all of them stand in "
            f"{paths.FLAGGED}), or leave samples out with `roadseg data quarantine`, and run again"
        )
    write_manifest(paths.MANIFEST, "manifest", scan)
    print(f"validate: {scan.rows.num_rows} samples accepted, {len(flagged)} warnings")


def judged(scan: Manifest, reference: Shares, limits: ValidateParams) -> tuple[Verdict, list[Flagged]]:
    """Judge samples, splits, classes and the class table.

    Args:
        scan: the samples that are not quarantined.
        reference: class shares of the last accepted data, for the same class table.
        limits: the thresholds.

    Returns:
        The verdict, and every failing row, the worst expectation first.
    """
    from roadseg.validate.expectations import judge  # late: Great Expectations loads in seconds

    subjects = {
        "samples": (frames.samples(scan, limits.near_duplicate), rules.of_samples(limits)),
        "splits": (frames.splits(scan, reference), rules.of_splits(limits)),
        "classes": (frames.classes(scan), rules.of_classes()),
        "tables": (frames.table(scan), rules.of_table(limits)),
        "orientations": (frames.orientations(scan), rules.of_orientations()),
    }
    expectations, flagged = [], []
    for subject, results in judge(subjects).items():
        frame, expected = subjects[subject]
        for result in results:
            expectations.append(
                Expected(result.name, result.severity, result.passed, result.observed, len(result.failing))
            )
            rule = expected[result.name]
            failing = frame.iloc[result.failing].to_dict("records")
            flagged += [Flagged(row.get("sample"), result.name, result.severity, rule.said_of(row)) for row in failing]
    accepted = all(each.passed or each.severity != "critical" for each in expectations)
    return Verdict(accepted, expectations), flagged


def _without_quarantined(scan: Manifest, path: Path) -> Manifest:
    entries = read_quarantine(path)
    kept, used = scan.without(entries)
    if stale := len(entries) - used:
        print(f"warning: {path}: {stale} entries name no sample, or another image of it by now; those are judged")
    return kept


def _tell(flagged: list[Flagged], severity: str) -> None:
    lines = [
        f"{paths.RAW}{'/' if entry.sample else ': '}{entry.reason}" for entry in flagged if entry.severity == severity
    ]
    for line in lines[:SHOWN]:
        print(f"{severity}: {line}")
    if len(lines) > SHOWN:
        print(f"{severity}: and {len(lines) - SHOWN} more in {paths.FLAGGED}")
