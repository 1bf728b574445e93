"""Runs, logged models and registered versions of MLflow."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import yaml
from mlflow import MlflowClient, MlflowException
from mlflow.entities import LifecycleStage, Run, ViewType
from mlflow.entities.model_registry import ModelVersion
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking._tracking_service.utils import _get_store

from roadseg.contracts import paths
from roadseg.registry import ledger
from roadseg.registry.gc.item import Item
from roadseg.registry.gc.references import Reached
from roadseg.registry.versions import ABSENT, MODEL
from roadseg.tracking.data_page import REFUSALS
from roadseg.tracking.origin import FOLDER as ORIGIN
from roadseg.tracking.store import EXPERIMENT, FINGERPRINT, artifact_names

JUDGED = ("candidate", "champion", "from", "to")  # tags of a run of the ledger that name versions


def unused_runs(client: MlflowClient, reached: Reached, oldest: float) -> list[Item]:
    """Runs that nothing reaches, with their models and versions; what the others name is added to `reached`.

    Args:
        client: of the store.
        reached: what git names.
        oldest: runs that ended later stay; seconds since the epoch.
    """
    runs = {run.info.run_id: run for run in _runs(client)}
    versions = _versions(client)
    roots = {run_id for version in _reached_versions(client, versions) for run_id in _made_of(client, version)}
    roots |= {run_id for run_id, run in runs.items() if _ended(run) >= oldest}
    named = set(reached.objects)
    roots |= {run_id for run_id in runs.keys() - roots if _bundles(client, run_id) & named}
    kept = _with_ancestors(roots & runs.keys(), runs)
    for run_id in kept:
        _read(client, runs[run_id], reached)
    for_good = hasattr(
        _get_store(), "_hard_delete_run"
    )  # a server's is out of reach: what is marked there is done with
    gone = [
        run
        for run_id, run in runs.items()
        if run_id not in kept and (for_good or run.info.lifecycle_stage != LifecycleStage.DELETED)
    ]
    reached.evaluations |= {version.tags.get("evaluation", "") for version in versions if not _of(version, gone)}
    return [item for run in gone for item in _items(client, run, [each for each in versions if _of(each, [run])])]


def _runs(client: MlflowClient) -> list[Run]:
    """All runs of our experiments but the ledger's, those that were deleted in MLflow too."""
    names = [client.get_experiment_by_name(name) for name in (EXPERIMENT, REFUSALS)]
    experiments = [found.experiment_id for found in names if found]
    found: list[Run] = []
    token = None
    while experiments:
        page = client.search_runs(experiments, run_view_type=ViewType.ALL, max_results=1000, page_token=token)
        found += page
        if not (token := page.token):
            break
    return found


def _versions(client: MlflowClient) -> list[ModelVersion]:
    found: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(max_results=1000, page_token=token)
        found += page
        if not (token := page.token):
            return found


def _reached_versions(client: MlflowClient, versions: list[ModelVersion]) -> list[ModelVersion]:
    """Versions that an alias points to or that the ledger names, and all of other models."""
    ours = [version for version in versions if version.name == MODEL]
    others = [version for version in versions if version.name != MODEL]
    if not ours:
        return others
    numbers = {str(number) for number in client.get_registered_model(MODEL).aliases.values()}
    if experiment := client.get_experiment_by_name(ledger.EXPERIMENT):
        token = None
        while True:
            page = client.search_runs([experiment.experiment_id], max_results=1000, page_token=token)
            numbers |= {run.data.tags.get(key, "") for run in page for key in JUDGED}
            if not (token := page.token):
                break
    return others + [version for version in ours if str(version.version) in numbers]


def _made_of(client: MlflowClient, version: ModelVersion) -> set[str]:
    """The runs that a version came from; its tag may have been set by anyone, so the model is asked too."""
    found = {version.tags.get("run_id"), version.run_id}
    if str(version.source).startswith("models:/m-"):
        try:
            found.add(client.get_logged_model(str(version.source).removeprefix("models:/")).source_run_id)
        except MlflowException as error:
            if error.error_code != ABSENT:
                raise
    return {str(run_id) for run_id in found if run_id}


def _of(version: ModelVersion, runs: list[Run]) -> bool:
    return bool({version.tags.get("run_id"), version.run_id} & {run.info.run_id for run in runs})


def _ended(run: Run) -> float:
    return max(run.info.start_time or 0, run.info.end_time or 0) / 1000


def _with_ancestors(run_ids: set[str], runs: dict[str, Run]) -> set[str]:
    """With the runs whose weights they started from: what they saw, their children have seen."""
    by_fingerprint: dict[str, list[str]] = {}
    for run_id, run in runs.items():
        by_fingerprint.setdefault(run.data.tags.get(FINGERPRINT, ""), []).append(run_id)
    kept, new = set(run_ids), set(run_ids)
    while new:
        parents = {runs[run_id].data.tags.get("roadseg.parent") for run_id in new} - {None}
        new = {run_id for parent in parents for run_id in by_fingerprint.get(str(parent), ())} - kept
        kept |= new
    return kept


def _locks(client: MlflowClient, run_id: str) -> list[str]:
    """The texts of the locks that stand with a run."""
    places = [paths.LOCK] if paths.LOCK.name in artifact_names(client, run_id) else []
    for evaluation in artifact_names(client, run_id, ORIGIN):
        folder = f"{ORIGIN}/{evaluation}"
        if paths.LOCK.name in artifact_names(client, run_id, folder):
            places.append(Path(folder, paths.LOCK))
        if paths.RAW_DVC.name in artifact_names(client, run_id, f"{folder}/{paths.RAW_DVC.parent}"):
            places.append(Path(folder, paths.RAW_DVC))
    return [str(mlflow.artifacts.load_text(f"runs:/{run_id}/{place.as_posix()}")) for place in places]


def _bundles(client: MlflowClient, run_id: str) -> set[str]:
    """Names in DVC's cache of the bundles that a run's locks made."""
    stages = [
        stage
        for lock in _locks(client, run_id)
        for stage in ((yaml.safe_load(lock) or {}).get("stages") or {}).values()
    ]
    return {
        entry["md5"] for stage in stages for entry in stage.get("outs", []) if entry.get("path") == str(paths.BUNDLE)
    }


def _read(client: MlflowClient, run: Run, reached: Reached) -> None:
    for lock in _locks(client, run.info.run_id):
        reached.read(lock)
    tags: dict[str, Any] = run.data.tags
    reached.fingerprints.add(str(tags.get(FINGERPRINT, "")))
    reached.weights.add(str(tags.get("roadseg.parent.weights", "")))
    reached.evaluations |= artifact_names(client, run.info.run_id, "evaluation")


def _items(client: MlflowClient, run: Run, versions: list[ModelVersion]) -> Iterable[Item]:
    """Versions first and the run last: what is left of a removal that was killed is found by the run."""
    run_id, experiment = run.info.run_id, run.info.experiment_id
    for version in versions:
        number = str(version.version)
        yield Item("MLflow: registered versions", number, 0, partial(client.delete_model_version, MODEL, number))
    for model in client.search_logged_models([experiment], f"source_run_id = '{run_id}'"):
        size = _size(client.list_logged_model_artifacts, model.model_id)
        yield Item("MLflow: models", model.model_id, size, partial(_remove_model, client, model.model_id))
    for model_id in _half_removed(run_id):
        yield Item("MLflow: models", model_id, 0, partial(_for_good, models=[model_id]))
    yield Item("MLflow: runs", run_id, _size(client.list_artifacts, run_id), partial(_remove_run, client, run_id))


def _size(listing: Any, owner: str, folder: str | None = None) -> int:
    entries = listing(owner, folder)
    return sum(_size(listing, owner, entry.path) if entry.is_dir else entry.file_size or 0 for entry in entries)


def _remove_model(client: MlflowClient, model_id: str) -> None:
    client.delete_logged_model(model_id)
    _for_good(models=[model_id])


def _remove_run(client: MlflowClient, run_id: str) -> None:
    if client.get_run(run_id).info.lifecycle_stage != LifecycleStage.DELETED:
        client.delete_run(run_id)
    _for_good(runs=[run_id])


def _half_removed(run_id: str) -> list[str]:
    """Models of a run that are marked as deleted, and no more."""
    store = _get_store()
    if not hasattr(store, "_get_deleted_logged_models"):
        return []
    marked = store._get_deleted_logged_models()
    return [each for each in marked if store.get_logged_model(each, allow_deleted=True).source_run_id == run_id]


def _for_good(runs: Iterable[str] = (), models: Iterable[str] = ()) -> None:
    """Take files and rows away, which a server does itself alone: there `mlflow gc` ends it.

    As `mlflow gc` does, whose command takes all that people have deleted where it is given one of the two lists only.
    """
    store = _get_store()
    if not hasattr(store, "_hard_delete_run"):
        return
    for run_id in runs:
        get_artifact_repository(store.get_run(run_id).info.artifact_uri).delete_artifacts()
        store._hard_delete_run(run_id)
    for model_id in models:
        location = store.get_logged_model(model_id, allow_deleted=True).artifact_location
        get_artifact_repository(location).delete_artifacts()
        store._hard_delete_logged_model(model_id)
