"""Where MLflow is, and the run of a training in it."""

import os
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Run

from roadseg.contracts.files import home

EXPERIMENT, FINGERPRINT = "roadseg", "roadseg.fingerprint"


def connect() -> MlflowClient:
    """Client of `MLFLOW_TRACKING_URI`, else of the SQLite database in home."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        folder = home() / "mlflow"
        folder.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    return MlflowClient()


def experiment_id(client: MlflowClient, name: str = EXPERIMENT) -> str:
    """Find or create an experiment; in the embedded store its artifacts go to home, not to the current folder."""
    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    embedded = str(mlflow.get_tracking_uri()).startswith("sqlite:")
    location = (home() / "mlflow" / "artifacts").as_uri() if embedded else None
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except mlflow.MlflowException:  # another process was first
        return str(client.get_experiment_by_name(name).experiment_id)


def find_runs(client: MlflowClient, fingerprint: str) -> list[Run]:
    """The runs of a training, the first made first: more than one where `publish --as-new` made others."""
    oldest = ["attributes.start_time ASC"]
    return list(client.search_runs([experiment_id(client)], f"tags.`{FINGERPRINT}` = '{fingerprint}'", order_by=oldest))


def find_run(client: MlflowClient, fingerprint: str) -> Run | None:
    """The first run of a training, or None."""
    return next(iter(find_runs(client, fingerprint)), None)


def find_or_create_run(client: MlflowClient, fingerprint: str) -> Run:
    """The first run of a training, made where it is not there yet."""
    return find_run(client, fingerprint) or create_run(client, fingerprint)


def create_run(client: MlflowClient, fingerprint: str) -> Run:
    """Make a run of a training."""
    return client.create_run(
        experiment_id(client), tags={FINGERPRINT: fingerprint}, run_name=f"training-{fingerprint[:8]}"
    )


def send_missing(client: MlflowClient, run_id: str, metrics: list[Metric]) -> int:
    """Send the metrics whose (key, step) the run does not have; MLflow would keep the others twice.

    A metric that names a logged model is missing too where the model does not have it. It then goes with the value and
    the time that the run has, which MLflow takes for the run's own row.

    Returns:
        How many were sent.
    """
    there = {
        (key, entry.step): entry
        for key in client.get_run(run_id).data.metrics.keys() & {metric.key for metric in metrics}
        for entry in client.get_metric_history(run_id, key)
    }
    linked = {
        (model_id, entry.key, entry.step)
        for model_id in {metric.model_id for metric in metrics if metric.model_id}
        for entry in client.get_logged_model(model_id).metrics or []
    }
    missing = {}
    for metric in metrics:
        found = there.get((metric.key, metric.step))
        if found and (metric.model_id is None or (metric.model_id, metric.key, metric.step) in linked):
            continue
        missing[metric.key, metric.step] = _as_first_sent(metric, found) if found else metric
    return send_all(client, run_id, list(missing.values()))


def send_all(client: MlflowClient, run_id: str, metrics: list[Metric]) -> int:
    """Send the metrics, also those that the run has; returns how many."""
    for start in range(0, len(metrics), 1000):  # the server's limit of one request
        client.log_batch(run_id, metrics=metrics[start : start + 1000])
    return len(metrics)


def _as_first_sent(metric: Metric, found: Metric) -> Metric:
    about = {"model_id": metric.model_id, "dataset_name": metric.dataset_name, "dataset_digest": metric.dataset_digest}
    return Metric(metric.key, found.value, found.timestamp, metric.step, **about)


def artifact_names(client: MlflowClient, run_id: str, folder: str | None = None) -> set[str]:
    """Last parts of the artifact paths in a folder of the run."""
    return {Path(entry.path).name for entry in client.list_artifacts(run_id, folder)}
