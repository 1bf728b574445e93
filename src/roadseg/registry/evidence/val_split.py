"""The val split that a version was evaluated on, out of DVC's cache and without a checkout of its commit."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from mlflow import MlflowClient

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.contracts.manifest import read_manifest
from roadseg.pipeline.dvc import cache_folder
from roadseg.registry.evidence.stored import Stored
from roadseg.tracking.origin import fetch_origin
from roadseg.workspace.data import listing


def lay_val_split(client: MlflowClient, version: int, repository: Path, tree: Path) -> None:
    """Lay manifest and val images of a version into an empty folder, as links into the cache.

    Args:
        client: of the store.
        version: registered.
        repository: a checkout whose DVC cache has the data.
        tree: the folder.

    Raises:
        UsageError: the version's dvc.lock is not in MLflow, or the cache lacks a file; names it.
    """
    objects = cache_folder(repository)
    named = _locked(client, Stored.find(client, version))
    if not {str(paths.MANIFEST), str(paths.RAW)} <= named.keys():
        raise UsageError(f"MLflow has no {paths.LOCK} of version {version}, so nothing says which val split it had")
    _link(objects, named[str(paths.MANIFEST)], tree / paths.MANIFEST)
    files = listing(objects, named[str(paths.RAW)])
    if files is None:
        raise UsageError(_absent(objects, named[str(paths.RAW)], paths.RAW))
    for row in read_manifest(tree / paths.MANIFEST, columns=["image", "mask", "split"]).records("val"):
        for name in filter(None, (row["image"], row["mask"])):
            if name not in files:
                raise UsageError(f"{paths.RAW / name} of version {version} is in its manifest and not in its data")
            _link(objects, files[name], tree / paths.RAW / name)


def _locked(client: MlflowClient, stored: Stored) -> dict[str, str]:
    """The md5 of everything that the dvc.lock of a version names, by path."""
    if not stored.registered:
        return {}
    with TemporaryDirectory() as folder:
        origin = fetch_origin(client, stored.tags["run_id"], stored.tags["evaluation"], Path(folder))
        path = origin.folder / paths.LOCK
        stages: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"] if path.exists() else {}
    entries = [entry for stage in stages.values() for side in ("deps", "outs") for entry in stage.get(side, [])]
    return {entry["path"]: entry["md5"] for entry in entries if "md5" in entry}


def _link(objects: Path, md5: str, path: Path) -> None:
    kept = objects / "files/md5" / md5[:2] / md5[2:]
    if not kept.exists():
        raise UsageError(_absent(objects, md5, path))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(kept)


def _absent(objects: Path, md5: str, path: Path) -> str:
    return f"{path} (md5 {md5}) is not in DVC's cache {objects}: `dvc pull` it in a checkout of the version's commit"
