"""The page about the data in MLflow: in the run of a training, and in a run of its own where validate refused."""

import os
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import mlflow
from mlflow import MlflowClient

from roadseg.contracts import paths
from roadseg.contracts.errors import RoadsegError
from roadseg.contracts.files import digest_file, digest_of
from roadseg.machine.signals import follow_parent
from roadseg.pages.data_page import write_data_page
from roadseg.pages.summary import verdict_markdown
from roadseg.pipeline.sidecars import answer
from roadseg.tracking.store import artifact_address, artifact_names, connect, experiment_id

FOLDER, NAME = "data", "data.html"
REFUSALS, JUDGEMENT = "roadseg-data", "roadseg.judgement"


def send_data_page(client: MlflowClient, run_id: str, tree: Path) -> None:
    """Make the page of a tree and put it into a run that lacks it; `ROADSEG_PICTURES=off` leaves out thumbnails."""
    if NAME in artifact_names(client, run_id, FOLDER):
        return
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / NAME
        write_data_page(tree, page, pictures=os.environ.get("ROADSEG_PICTURES") != "off")
        client.log_artifact(run_id, str(page), FOLDER)


def publish_refusal(tree: Path) -> str:
    """Leave a refusal where people look: verdict and page in the experiment `roadseg-data`.

    The same data refused by the same judgement are one run, however often they are sent.

    Returns:
        The run.

    Raises:
        UsageError: scan or validate has not run in `tree`.
    """
    note = verdict_markdown(tree)
    scan, verdict = digest_file(tree / paths.SCAN), tree / paths.VERDICT
    judgement = digest_of([scan, digest_file(verdict), digest_file(tree / paths.FLAGGED)])
    client = connect()
    run_id = _find_or_create(client, judgement, scan)
    if "mlflow.note.content" not in client.get_run(run_id).data.tags:
        client.set_tag(run_id, "mlflow.note.content", note)
    if verdict.name not in artifact_names(client, run_id, FOLDER):
        client.log_artifact(run_id, str(verdict), FOLDER)
    send_data_page(client, run_id, tree)
    client.set_terminated(run_id, "FAILED")  # it shows in every list of runs
    return run_id


def _find_or_create(client: MlflowClient, judgement: str, scan: str) -> str:
    experiment = experiment_id(client, REFUSALS)
    found = client.search_runs([experiment], f"tags.`{JUDGEMENT}` = '{judgement}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    tags = {JUDGEMENT: judgement, "roadseg.scan": scan, "verdict": "refused"}
    return str(client.create_run(experiment, tags=tags, run_name=f"refused-{scan[:8]}").info.run_id)


def page_link(run_id: str, place: str = f"{FOLDER}/{NAME}") -> str:
    """Where people open a page of a run: in the UI of MLflow's server, or as a file of the embedded store."""
    run = connect().get_run(run_id)
    server = urlsplit(mlflow.get_tracking_uri())
    if server.scheme in {"http", "https"}:
        host = server.netloc.rpartition("@")[2]  # no password in a link
        run_page = f"/#/experiments/{run.info.experiment_id}/runs/{run_id}"
        return f"{server.scheme}://{host}{server.path.rstrip('/')}{run_page}/artifacts/{place}"
    return f"{artifact_address(run)}/{place}"


def main() -> None:
    """Send the refusal of a tree and answer with its link; see `sidecars.send_refusal`."""
    follow_parent()
    try:
        answer(page_link(publish_refusal(Path(sys.argv[1]))))
    except RoadsegError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
