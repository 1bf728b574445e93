"""The champion's evaluation and bundle on this disk, for others to be compared with."""

from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from roadseg.contracts.files import home
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
    """What MLflow holds of the champion, fetched once into home's `reuse/champion/<evaluation>`.

    Returns:
        None where there is no champion, or one that something else than `register` made.
    """
    import mlflow  # late: it loads in seconds, and who asks a sidecar needs none

    from roadseg.registry.versions import CHAMPION, EVALUATED, MODEL, has_older_digest, version_at
    from roadseg.tracking.store import connect

    client = connect()
    version = version_at(client, CHAMPION)
    tags = {} if version is None else client.get_model_version(MODEL, str(version)).tags
    if not tags.keys() >= EVALUATED:
        return None
    folder = home() / "reuse/champion" / tags["evaluation"]
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent) as temporary:
            whole = Path(temporary, "whole")
            whole.mkdir()
            for artifact, name in ((f"evaluation/{tags['evaluation']}", "evaluation"), ("bundle", "bundle")):
                there = mlflow.artifacts.download_artifacts(
                    run_id=tags["run_id"], artifact_path=artifact, dst_path=temporary
                )
                Path(there).rename(whole / name)
            try:
                whole.rename(folder)
            except OSError:
                if not folder.is_dir():  # else another process was first
                    raise
    name = f"champion (version {version})"
    val_manifest = None if has_older_digest(tags) else tags["val_manifest"]
    return Champion(name, folder / "evaluation", folder / "bundle", val_manifest)


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
