"""The champion's evaluation and bundle on this disk, for others to be compared with."""

from dataclasses import asdict, dataclass
from pathlib import Path

from roadseg.machine.signals import follow_parent
from roadseg.pipeline.sidecars import answer, ask

PATIENCE = 60.0  # seconds


@dataclass(frozen=True)
class Champion:
    """Its name as people call it, the folders of its evaluation and bundle, and the digest of what it was judged on.

    The digest is None where it is of an older kind.
    """

    name: str
    evaluation: Path
    bundle: Path
    val_manifest: str | None


def fetch_champion() -> Champion | None:
    """What MLflow holds of the champion, fetched into home once.

    Returns:
        None where there is no champion, or one that something else than `register` made.

    Raises:
        UsageError: it cannot be had.
    """
    from roadseg.registry.evidence.stored import Stored  # late: MLflow loads in seconds, who asks a sidecar needs none
    from roadseg.registry.versions import CHAMPION, version_at
    from roadseg.tracking.store import connect

    client = connect()
    version = version_at(client, CHAMPION)
    stored = None if version is None else Stored.find(client, version)
    if stored is None or not stored.registered:
        return None
    val_manifest = None if stored.older else stored.tags["val_manifest"]
    return Champion(f"champion (version {version})", stored.evaluation_folder, stored.bundle.folder, val_manifest)


def ask_for_champion() -> Champion | None:
    """`fetch_champion` in a process of its own: no outage of MLflow holds the caller up for long.

    Returns:
        None where there is no champion, or MLflow did not answer within `PATIENCE`; `champion.log` in home says why.
    """
    found = ask("roadseg.registry.champion", log="champion.log", patience=PATIENCE)
    if not found:
        return None
    return Champion(found["name"], Path(found["evaluation"]), Path(found["bundle"]), found["val_manifest"])


def main() -> None:
    """Answer with the champion, or null."""
    follow_parent()
    found = fetch_champion()
    answer(asdict(found) if found else None)


if __name__ == "__main__":
    main()
