"""Take flagged samples out of the pipeline and back in; the data themselves stay as they are."""

from pathlib import Path

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.contracts.manifest import read_manifest
from roadseg.contracts.quarantine import Quarantined, read_quarantine, write_quarantine
from roadseg.contracts.verdict import Flagged, read_flagged


def quarantine(tree: Path, samples: list[str], expectation: str | None, reason: str) -> list[Quarantined]:
    """Add samples to the list.

    Args:
        tree: the folder that holds dvc.yaml.
        samples: their names.
        expectation: and all that this one flagged in the last validate.
        reason: kept in the list; empty: what validate said.

    Returns:
        The entries that are new or changed.

    Raises:
        UsageError: a sample that is not in the scan, an expectation that flagged nothing, or neither is given.
    """
    if not samples and expectation is None:
        raise UsageError(f"name samples, or an --expectation of {paths.FLAGGED}")
    digests = {row["sample"]: row["image_sha"] or "" for row in read_manifest(tree / paths.SCAN, "scan").records()}
    if unknown := sorted(set(samples) - digests.keys()):
        raise UsageError(f"{paths.SCAN}: no sample {', '.join(unknown[:5])}; names stand in {paths.FLAGGED}")
    chosen = dict.fromkeys(samples, reason or "by name")
    if expectation is not None:
        flagged = _flagged_by(expectation, read_flagged(tree / paths.FLAGGED))
        chosen |= {name: f"{expectation}: {reason or why}" for name, why in flagged.items() if name in digests}
    before = {entry.sample: entry for entry in read_quarantine(tree / paths.QUARANTINE)}
    added = [Quarantined(sample, digests[sample], why) for sample, why in sorted(chosen.items())]
    write_quarantine(tree / paths.QUARANTINE, list((before | {entry.sample: entry for entry in added}).values()))
    return [entry for entry in added if before.get(entry.sample) != entry]


def restore(tree: Path, samples: list[str], expectation: str | None, everything: bool) -> list[Quarantined]:
    """Take samples off the list.

    Args:
        tree: the folder that holds dvc.yaml.
        samples: their names.
        expectation: and all that were listed for this one.
        everything: all of them.

    Returns:
        The entries that are gone.

    Raises:
        UsageError: a sample that is not listed, an expectation that no entry has, or nothing is given.
    """
    listed = read_quarantine(tree / paths.QUARANTINE)
    if unknown := sorted(set(samples) - {entry.sample for entry in listed}):
        raise UsageError(f"{paths.QUARANTINE}: {', '.join(unknown[:5])} is not in quarantine")
    gone = [
        entry
        for entry in listed
        if everything or entry.sample in samples or (expectation and entry.reason.startswith(f"{expectation}: "))
    ]
    if not gone:
        raise UsageError(
            f"{paths.QUARANTINE}: nothing to restore: name samples, an --expectation that is listed, or --all"
        )
    write_quarantine(tree / paths.QUARANTINE, sorted(set(listed) - set(gone), key=lambda entry: entry.sample))
    return gone


def _flagged_by(expectation: str, flagged: list[Flagged]) -> dict[str, str]:
    found = {row.sample: row.reason for row in flagged if row.expectation == expectation and row.sample}
    if not found:
        there = ", ".join(sorted({row.expectation for row in flagged if row.sample})) or "none"
        raise UsageError(f"{paths.FLAGGED}: {expectation} flagged no sample; those that did: {there}")
    return found
