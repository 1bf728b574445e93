"""Runs, logged models and registered versions of MLflow."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, cast

import mlflow
import yaml
from mlflow import MlflowClient, MlflowException
from mlflow.entities import LifecycleStage, Run, RunStatus, ViewType
from mlflow.entities.model_registry import ModelVersion
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.tracking._tracking_service.utils import _get_store

from roadseg.contracts import paths
from roadseg.contracts.errors import Busy
from roadseg.contracts.files import home
from roadseg.registry import ledger
from roadseg.registry.alias import moving_alone
from roadseg.registry.gc.item import Item
from roadseg.registry.gc.references import Reached
from roadseg.registry.versions import ABSENT, MODEL
from roadseg.tracking.data_page import REFUSALS
from roadseg.tracking.origin import FOLDER as ORIGIN
from roadseg.tracking.store import EXPERIMENT, FINGERPRINT, artifact_names
from roadseg.tracking.training_run import PARENT, PARENT_WEIGHTS

JUDGED = ("candidate", "champion", "from", "to")  # tags of a run of the ledger that name versions
EVERY = 1 << 30  # MLflow would end at 100 000 runs, and what it does not list would look unused


def unused_runs(client: MlflowClient, reached: Reached, oldest: float) -> list[Item]:
    """Runs that nothing reaches, with their models and versions; what the others name is added to `reached`.

    In a store that others may use there is none, and all its runs keep the objects that their locks name.

    Args:
        client: of the store.
        reached: what git names.
        oldest: runs that ended later stay; seconds since the epoch.
    """
    runs = {run.info.run_id: run for run in _runs(client, (EXPERIMENT, REFUSALS), ViewType.ALL)}
    locks = {run_id: _locks(client, run_id) for run_id in runs}
    versions = list(mlflow.search_model_versions())
    roots = {run_id for version in _reached_versions(client, versions) for run_id in _made_of(client, version)}
    roots |= {run_id for run_id, run in runs.items() if _ended(run) >= oldest or _goes_on(run)}
    roots |= {run_id for run_id in runs if _bundles(locks[run_id]) & reached.objects}
    kept = _with_ancestors(roots & runs.keys(), runs)
    for run_id in kept:
        _read(client, runs[run_id], reached)
    if shared := not _in_home():
        print("gc: MLflow is not the store in home, so others may use it: its runs, models and versions are left alone")
    gone = [run for run_id, run in runs.items() if run_id not in kept and not shared]
    stay = runs.keys() - {run.info.run_id for run in gone}
    for lock in [lock for run_id in stay for lock in locks[run_id]]:
        reached.read(lock)
    return list(_items(client, gone, [version for version in versions if _of(version, gone)]))


def _in_home() -> bool:
    """Whether MLflow is the database in home, which nobody else's runs are in."""
    database = (home() / "mlflow/mlflow.db").resolve()
    uris = (str(mlflow.get_tracking_uri()), str(mlflow.get_registry_uri()))
    return all(
        uri.startswith("sqlite:///") and Path(uri.removeprefix("sqlite:///")).resolve() == database for uri in uris
    )


def _runs(client: MlflowClient, experiments: Iterable[str], view: str) -> list[Run]:
    found = [client.get_experiment_by_name(name) for name in experiments]
    ids = [experiment.experiment_id for experiment in found if experiment]
    if not ids:  # MLflow would take its default experiment
        return []
    return cast(list[Run], mlflow.search_runs(ids, "", view, EVERY, output_format="list"))


def _named(client: MlflowClient) -> set[str]:
    """Numbers of the versions that an alias points to or that the ledger names."""
    aliases = {str(number) for number in client.get_registered_model(MODEL).aliases.values()}
    entries = _runs(client, [ledger.EXPERIMENT], ViewType.ACTIVE_ONLY)
    return aliases | {run.data.tags.get(key, "") for run in entries for key in JUDGED}


def _reached_versions(client: MlflowClient, versions: list[ModelVersion]) -> list[ModelVersion]:
    """Versions that an alias points to or that the ledger names, and all of other models."""
    numbers = _named(client) if any(version.name == MODEL for version in versions) else set()
    return [version for version in versions if version.name != MODEL or str(version.version) in numbers]


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


def _goes_on(run: Run) -> bool:
    """Whether it trains; one of a process that was killed looks like that until somebody deletes it in MLflow."""
    running = RunStatus.to_string(RunStatus.RUNNING)
    return bool(run.info.status == running and run.info.lifecycle_stage != LifecycleStage.DELETED)


def _with_ancestors(run_ids: set[str], runs: dict[str, Run]) -> set[str]:
    """With the runs whose weights they started from: what they saw, their children have seen."""
    by_fingerprint: dict[str, list[str]] = {}
    for run_id, run in runs.items():
        by_fingerprint.setdefault(run.data.tags.get(FINGERPRINT, ""), []).append(run_id)
    kept, new = set(run_ids), set(run_ids)
    while new:
        parents = {runs[run_id].data.tags.get(PARENT) for run_id in new} - {None}
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


def _bundles(locks: list[str]) -> set[str]:
    """Names in DVC's cache of the bundles that a run's locks made."""
    stages = [stage for lock in locks for stage in ((yaml.safe_load(lock) or {}).get("stages") or {}).values()]
    return {
        entry["md5"] for stage in stages for entry in stage.get("outs", []) if entry.get("path") == str(paths.BUNDLE)
    }


def _read(client: MlflowClient, run: Run, reached: Reached) -> None:
    tags: dict[str, Any] = run.data.tags
    reached.fingerprints.add(str(tags.get(FINGERPRINT, "")))
    reached.weights.add(str(tags.get(PARENT_WEIGHTS, "")))


def _items(client: MlflowClient, runs: list[Run], versions: list[ModelVersion]) -> Iterable[Item]:
    """All versions first, so that one that is reached by now ends it before the runs of others, its ancestors, go.

    A run goes after its models: what is left of a removal that was killed is found by the run.
    """
    for version in versions:
        number = str(version.version)
        yield Item("MLflow: registered versions", number, 0, partial(_remove_version, client, number))
    marked = _half_removed() if runs else []
    for run in runs:
        run_id, experiment = run.info.run_id, run.info.experiment_id
        for model in client.search_logged_models([experiment], f"source_run_id = '{run_id}'"):
            size = _size(client.list_logged_model_artifacts, model.model_id)
            yield Item("MLflow: models", model.model_id, size, partial(_remove_model, client, model.model_id))
        for model_id in [model_id for model_id, source in marked if source == run_id]:
            yield Item("MLflow: models", model_id, 0, partial(_for_good, models=[model_id]))
        yield Item("MLflow: runs", run_id, _size(client.list_artifacts, run_id), partial(_remove_run, client, run_id))


def _size(listing: Any, owner: str, folder: str | None = None) -> int:
    entries = listing(owner, folder)
    return sum(_size(listing, owner, entry.path) if entry.is_dir else entry.file_size or 0 for entry in entries)


def _remove_version(client: MlflowClient, number: str) -> None:
    """Under the lock of those who move the alias: MLflow would drop an alias with its version.

    Raises:
        Busy: an alias or the ledger names it since.
    """
    with moving_alone():
        if number in _named(client):
            raise Busy(f"an alias or the ledger names version {number} since: run the same command again")
        client.delete_model_version(MODEL, number)


def _remove_model(client: MlflowClient, model_id: str) -> None:
    client.delete_logged_model(model_id)
    _for_good(models=[model_id])


def _remove_run(client: MlflowClient, run_id: str) -> None:
    if client.get_run(run_id).info.lifecycle_stage != LifecycleStage.DELETED:
        client.delete_run(run_id)
    _for_good(runs=[run_id])


def _half_removed() -> list[tuple[str, str]]:
    """Models that are marked as deleted, and no more, each with the run that it came from."""
    store = _get_store()
    marked = [store.get_logged_model(each, allow_deleted=True) for each in store._get_deleted_logged_models()]
    return [(model.model_id, model.source_run_id) for model in marked]


def _for_good(runs: Iterable[str] = (), models: Iterable[str] = ()) -> None:
    """Take files and rows away as `mlflow gc` does, whose command takes more.

    Given one of the two lists only, it takes all that people have deleted of the other.
    """
    store = _get_store()
    for run_id in runs:
        get_artifact_repository(store.get_run(run_id).info.artifact_uri).delete_artifacts()
        store._hard_delete_run(run_id)
    for model_id in models:
        location = store.get_logged_model(model_id, allow_deleted=True).artifact_location
        get_artifact_repository(location).delete_artifacts()
        store._hard_delete_logged_model(model_id)
