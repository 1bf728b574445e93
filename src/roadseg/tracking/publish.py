"""Project the graph's files onto MLflow: find or create the run, send only what it lacks."""

import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import LocalArtifactDatasetSource
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelStatus, Metric, Param

from roadseg.contracts import paths
from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import evaluation_digest, read_evaluation, read_scores
from roadseg.contracts.files import home
from roadseg.contracts.manifest import Manifest, read_manifest
from roadseg.pages.pictures import prediction_sheet
from roadseg.pipeline.git import GitState, git_state
from roadseg.serving.log import log_model
from roadseg.tracking.belonging import check_belonging
from roadseg.tracking.data_page import send_data_page
from roadseg.tracking.follow import send_unsent
from roadseg.tracking.leaks import secret_in
from roadseg.tracking.model_page import send_model_page
from roadseg.tracking.origin import send_origin
from roadseg.tracking.published import Published, evaluation_key
from roadseg.tracking.store import artifact_names, connect, send_missing
from roadseg.tracking.training_run import PARENT, PARENT_WEIGHTS, claim_run
from roadseg.train.run.journal import metric_names, run_folder


def publish(tree: Path, started_from: GitState | None = None, *, as_new: bool = False) -> Published:
    """Send parameters, history, scores, data digests, code state, pictures and the model.

    Args:
        tree: a checkout in which train and evaluate have run, or whose files came by `dvc pull`.
        started_from: what git said of the tree before the graph ran; None asks now.
        as_new: see `claim_run`.

    Raises:
        UsageError: a file of the graph is missing or of another training, or MLflow holds other weights under this
            fingerprint, or git cannot be asked; says what to do.
    """
    code = started_from or git_state(tree)
    if code.problem:
        raise UsageError(f"no model is published without its commit: {code.problem}")
    bundle = Bundle.open(tree / paths.BUNDLE)
    manifest = read_manifest(tree / paths.MANIFEST)
    scores, read = read_scores(tree / paths.EVALUATION), read_evaluation(tree / paths.EVALUATION)
    check_belonging(tree, bundle, manifest)
    client = connect()
    run_id = claim_run(client, bundle.card["fingerprint"], bundle.card["weights"], as_new=as_new)
    send_unsent(run_folder(home(), bundle.card["fingerprint"]), run_id)  # it alone knows pace, machine and pictures
    known = {"weights": bundle.card["weights"], "val_manifest": manifest.digest("val")}  # schema 1 does not say them
    evaluation = evaluation_digest(tree / paths.EVALUATION, replace(read, **known))
    _send_params(client, run_id, bundle)
    _send_parent(client, run_id, bundle.card)
    _send_history(client, run_id, pd.read_csv(tree / paths.HISTORY))
    val = _send_data(client, run_id, manifest)
    _send_code(client, run_id, code)
    commit, dirty = send_origin(client, run_id, evaluation, tree, code)
    _send_files(client, run_id, tree)
    _send_page(client, run_id, tree)
    model_id = _send_model(client, run_id, bundle)
    about = {"model_id": model_id, "dataset_name": val.name, "dataset_digest": val.digest}
    _send_evaluation(client, run_id, tree, scores, evaluation, about)
    send_model_page(client, run_id, evaluation, tree)
    client.set_terminated(run_id, "FINISHED")
    return Published(
        run_id=run_id,
        model_id=model_id,
        fingerprint=bundle.card["fingerprint"],
        evaluation=evaluation,
        val_manifest=manifest.digest("val"),
        weights=bundle.card["weights"],
        commit=commit,
        dirty=dirty,
        miou=scores["miou"],
        settings=json.dumps(read.settings, sort_keys=True) if read.settings else "",
    )


def _send_params(client: MlflowClient, run_id: str, bundle: Bundle) -> None:
    there, card = client.get_run(run_id).data.params, bundle.card
    params = {f"train.{key}": value for key, value in card["params"].items()}
    params |= {"height": card["height"], "width": card["width"], "classes": card["classes"]["name"]}
    params |= {key: value for key, value in asdict(bundle.surroundings).items() if value is not None}
    missing = [Param(key, str(value)) for key, value in params.items() if key not in there]
    if missing:
        client.log_batch(run_id, params=missing)


def _send_parent(client: MlflowClient, run_id: str, card: dict[str, Any]) -> None:
    if card.get("parent"):
        client.set_tag(run_id, PARENT, card["parent"])
        client.set_tag(run_id, PARENT_WEIGHTS, card["params"]["init"])


def _send_history(client: MlflowClient, run_id: str, history: pd.DataFrame) -> None:
    now = time.time_ns() // 1_000_000
    metrics = [
        Metric(key, value, now, int(row["epoch"]))
        for row in history.to_dict("records")
        for key, value in metric_names({str(column): figure for column, figure in row.items()}).items()
        if pd.notna(value)
    ]
    send_missing(client, run_id, metrics)


def _send_evaluation(
    client: MlflowClient, run_id: str, tree: Path, scores: dict[str, Any], evaluation: str, about: dict[str, str]
) -> None:
    now = time.time_ns() // 1_000_000
    figures = {key: value for key, value in scores.items() if isinstance(value, float)}
    evidence = [Metric(evaluation_key(evaluation, key), value, now, 0, **about) for key, value in figures.items()]
    send_missing(client, run_id, evidence)  # whatever the artifacts say: the gate decides by these
    folder, others = f"evaluation/{evaluation}", artifact_names(client, run_id, "evaluation") - {evaluation}
    if paths.METRICS.name in artifact_names(client, run_id, folder):
        return
    newest = [Metric(f"val.{key}", value, now, len(others), **about) for key, value in figures.items()]
    send_missing(client, run_id, newest)
    client.log_artifacts(run_id, str(tree / paths.EVALUATION), folder)
    client.log_artifact(run_id, str(tree / paths.METRICS), folder)  # last: it says that the others are there


def _send_data(client: MlflowClient, run_id: str, manifest: Manifest) -> Dataset:
    """Enter train and val of the manifest as inputs, also of a later evaluation; returns val."""
    there = {(known.dataset.name, known.dataset.digest) for known in client.get_run(run_id).inputs.dataset_inputs}
    if not there:
        client.set_tag(run_id, "data.val_manifest", manifest.digest("val"))  # first: the inputs say that it is there
    source = LocalArtifactDatasetSource(str(paths.RAW))
    datasets = {
        split: MetaDataset(source, f"{manifest.classes.name}-{split}", manifest.digest(split)[:32])._to_mlflow_entity()
        for split in ("train", "val")
    }
    missing = [
        DatasetInput(dataset, [InputTag("mlflow.data.context", split)])
        for split, dataset in datasets.items()
        if (dataset.name, dataset.digest) not in there
    ]
    if missing:
        client.log_inputs(run_id, missing)
    return datasets["val"]


def _send_code(client: MlflowClient, run_id: str, state: GitState) -> None:
    if "git.dirty" in client.get_run(run_id).data.tags:
        return
    if leak := secret_in(state.diff):
        print(f"warning: the uncommitted changes stay here: {leak}; take it out of the tree", file=sys.stderr)
    elif state.diff and os.environ.get("ROADSEG_DIFF") != "off":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "uncommitted.diff")
            path.write_bytes(state.diff.encode(errors="surrogateescape"))
            client.log_artifact(run_id, str(path), "code")
    client.set_tag(run_id, "git.commit", state.commit)
    client.set_tag(run_id, "mlflow.source.git.commit", state.commit)
    client.set_tag(run_id, "git.dirty", str(state.dirty).lower())


def _send_files(client: MlflowClient, run_id: str, tree: Path) -> None:
    there = artifact_names(client, run_id)
    if (tree / paths.LOCK).exists() and paths.LOCK.name not in there:
        client.log_artifact(run_id, str(tree / paths.LOCK))
    if {path.name for path in (tree / paths.BUNDLE).iterdir()} - artifact_names(client, run_id, "bundle"):
        client.log_artifacts(run_id, str(tree / paths.BUNDLE), "bundle")
    if os.environ.get("ROADSEG_PICTURES") != "off" and "pictures" not in there:
        with tempfile.TemporaryDirectory() as folder:
            prediction_sheet(tree, count=6).save(Path(folder) / paths.PREDICTIONS.name, quality=90)
            client.log_artifacts(run_id, folder, "pictures")


def _send_page(client: MlflowClient, run_id: str, tree: Path) -> None:
    try:
        send_data_page(client, run_id, tree)
    except UsageError as error:  # scan's files may not have been pulled: a training needs none of them
        print(f"warning: no page about the data: {error}")


def _send_model(client: MlflowClient, run_id: str, bundle: Bundle) -> str:
    name = f"model-{bundle.card['weights'][:12]}"
    experiment = client.get_run(run_id).info.experiment_id
    for model in client.search_logged_models([experiment], f"source_run_id = '{run_id}' AND name = '{name}'"):
        if model.status == LoggedModelStatus.READY:  # else it was sent in part
            return str(model.model_id)
    with mlflow.start_run(run_id=run_id):
        return log_model(bundle.folder, name)
