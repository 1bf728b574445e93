"""Where MLflow is, and the run of a training in it."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import mlflow
import requests
from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_registered_artifact_repositories
from mlflow.store.entities import PagedList
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import home
from roadseg.tracking.artifacts import LOCATION, place, repository
from roadseg.tracking.outage import refused, unreached
from roadseg.tracking.repair import repair

Found = TypeVar("Found")
EXPERIMENT, FINGERPRINT = "roadseg", "roadseg.fingerprint"
PATIENCE = 10  # seconds for a server's first answer; basic-auth on a busy machine takes one
# for all later ones, where the user says nothing: a restart takes less than half a minute; MLflow's own give a server
# that fails four minutes, and one that is silent twenty
LATER = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "60", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4"}


def connect() -> MlflowClient:
    """Client of `MLFLOW_TRACKING_URI`, else of the SQLite database in home.

    Raises:
        RoadsegError: a server does not answer, or refuses; with its address and what to do.
        UsageError: MLflow does not know where artifacts lie.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        folder = home() / "mlflow"
        folder.mkdir(parents=True, exist_ok=True)
        repair(folder / "mlflow.db")
        uri = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    if uri.startswith(("http://", "https://")):
        for name, value in LATER.items():
            os.environ.setdefault(name, value)
        _ask(uri)
    elif get_registered_artifact_repositories().get("mlflow-artifacts") is not repository:
        raise UsageError("the installed roadseg is older than this code: run `make setup`")
    return MlflowClient()


def every(search: Callable[..., PagedList[Found]], *wanted: Any, **options: Any) -> Iterator[Found]:
    """All that a search of MLflow's client finds, page by page."""
    token = None
    while True:
        page = search(*wanted, page_token=token, **options)
        yield from page
        if not (token := page.token):
            return


@cache  # an error is not kept: the next call asks anew
def _ask(uri: str) -> None:
    """Ask a server for a list before any work: its own calls try a dead one for minutes."""
    endpoint, body = "/api/2.0/mlflow/experiments/search", {"max_results": 1}
    try:
        answer = http_request(
            get_default_host_creds(uri), endpoint, "GET", 0, timeout=PATIENCE, raise_on_status=False, params=body
        )
        if answer.status_code != 200:
            raise refused(uri, answer.status_code)
        answer.json()
    except requests.JSONDecodeError:
        raise refused(uri, 404) from None
    except (MlflowException, requests.RequestException) as error:
        raise unreached(uri, error) from None


def experiment_id(client: MlflowClient, name: str = EXPERIMENT) -> str:
    """Find or create an experiment; its artifacts lie where both doors find them, see `tracking.artifacts`.

    A server chooses the place itself, `mlflow-artifacts:/<number>`: by that number its logins know whose they are.
    """
    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    try:
        asked = str(mlflow.get_tracking_uri()).startswith(("http://", "https://"))
        return str(client.create_experiment(name, artifact_location=None if asked else LOCATION))
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


def artifact_address(run: Run) -> str:
    """The folder of a run's artifacts as an address: of a file where no server is asked."""
    uri = str(run.info.artifact_uri)
    tracking = str(mlflow.get_tracking_uri())
    local = uri.startswith("mlflow-artifacts:") and not tracking.startswith(("http://", "https://"))
    return place(uri, tracking).as_uri() if local else uri


def artifact_names(client: MlflowClient, run_id: str, folder: str | None = None) -> set[str]:
    """Last parts of the artifact paths in a folder of the run."""
    return {Path(entry.path).name for entry in client.list_artifacts(run_id, folder)}
