"""What a model can be made of again, kept with its run: what decides the data, and the code that ran."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient

from roadseg.contracts import paths
from roadseg.contracts.files import read_json, write_json
from roadseg.pipeline.git import GitState
from roadseg.tracking.leaks import secret_in
from roadseg.tracking.store import artifact_names

FOLDER, STATE, DIFF = "origin", "origin.json", "uncommitted.diff"
DECIDE = (  # the data and what becomes of them; a person need not have committed any
    paths.LOCK,
    paths.PARAMS,
    paths.RAW_DVC,
    paths.CLASSES,
    paths.QUARANTINE,
    paths.REFERENCE,
)
WHOLE, NONE, OFF, TOO_LARGE, UNKNOWN = "whole", "none", "switched off", "too large", "unknown"
LEAK = "holds a secret"


@dataclass(frozen=True)
class Origin:
    """Where one evaluation of a model comes from.

    Attributes:
        commit: that the tree stood at; empty where there was none.
        kept: what is known of the changes that were not committed: `WHOLE`, `NONE`, `OFF`, `TOO_LARGE`, `LEAK` or
            `UNKNOWN`.
        folder: on this disk: the difference under `DIFF`, and the files of `DECIDE` that there were.
    """

    commit: str
    kept: str
    folder: Path


def send_origin(client: MlflowClient, run_id: str, evaluation: str, tree: Path, code: GitState) -> tuple[str, bool]:
    """Send what a run lacks of the origin of an evaluation: a later one may be of other data and code.

    `ROADSEG_DIFF=off` keeps the difference here.

    Returns:
        The commit that the evaluation comes from, 40 hex or empty, and whether the tree had changes beside it, as
        whoever sent it first said.
    """
    artifact = f"{FOLDER}/{evaluation}"
    if STATE in artifact_names(client, run_id, artifact):
        with tempfile.TemporaryDirectory() as temporary:
            known = _read(Path(_download(run_id, f"{artifact}/{STATE}", Path(temporary))))
        return known["commit"], known["changes"] != NONE
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, evaluation)
        for path in DECIDE:
            if (tree / path).is_file():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(tree / path, folder / path)
        kept = _kept(code)
        if kept == WHOLE:
            folder.mkdir(exist_ok=True)
            (folder / DIFF).write_bytes(code.diff.encode(errors="surrogateescape"))
        if folder.exists():
            client.log_artifacts(run_id, str(folder), artifact)
        write_json(Path(temporary, STATE), "origin", {"commit": code.commit, "changes": kept})
        client.log_artifact(run_id, str(Path(temporary, STATE)), artifact)  # last: it says that the others are there
    return code.commit, code.dirty


def _kept(code: GitState) -> str:
    if not code.dirty:
        return NONE
    if os.environ.get("ROADSEG_DIFF") == "off":
        return OFF
    if secret_in(code.diff):
        return LEAK
    return WHOLE if code.whole else TOO_LARGE


def fetch_origin(client: MlflowClient, run_id: str, evaluation: str, destination: Path) -> Origin:
    """Bring the origin of an evaluation to this disk.

    A run of an earlier version says the commit, dvc.lock and the changes to tracked files, and no more.

    Args:
        client: of the store.
        run_id: of the training.
        evaluation: its digest.
        destination: an empty folder.
    """
    if STATE in artifact_names(client, run_id, f"{FOLDER}/{evaluation}"):
        folder = Path(_download(run_id, f"{FOLDER}/{evaluation}", destination))
        state = _read(folder / STATE)
        return Origin(state["commit"], state["changes"], folder)
    tags = client.get_run(run_id).data.tags
    if paths.LOCK.name in artifact_names(client, run_id):
        _download(run_id, paths.LOCK.name, destination)
    kept = NONE if tags.get("git.dirty") == "false" else UNKNOWN
    if DIFF in artifact_names(client, run_id, "code"):
        Path(_download(run_id, f"code/{DIFF}", destination)).rename(destination / DIFF)
    return Origin(tags.get("git.commit", ""), kept, destination)


def _read(path: Path) -> dict[str, Any]:
    return read_json(path, "origin", "roadseg publish")


def _download(run_id: str, artifact: str, destination: Path) -> str:
    return str(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path=artifact, dst_path=str(destination)))
