"""The page about a model in MLflow, beside the evaluation that it shows."""

import os
import tempfile
from pathlib import Path

from mlflow import MlflowClient

from roadseg.contracts import paths
from roadseg.contracts.files import digest_file
from roadseg.pages.model_page import write_model_page
from roadseg.tracking import data_page
from roadseg.tracking.store import artifact_names


def send_model_page(client: MlflowClient, run_id: str, evaluation: str, tree: Path) -> None:
    """Put the page into an evaluation that lacks it: the one that evaluate left in the tree, else one without pictures.

    `ROADSEG_PICTURES=off` sends none.
    """
    folder = f"evaluation/{evaluation}"
    if paths.MODEL_PAGE.name in artifact_names(client, run_id, folder):
        return
    if os.environ.get("ROADSEG_PICTURES") != "off" and _is_of(tree / paths.MODEL_PAGE, tree):
        client.log_artifact(run_id, str(tree / paths.MODEL_PAGE), folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        page = Path(temporary) / paths.MODEL_PAGE.name
        write_model_page(tree, page, pictures=False)
        client.log_artifact(run_id, str(page), folder)


def model_page_link(run_id: str, evaluation: str) -> str:
    """See `data_page.page_link`."""
    return data_page.page_link(run_id, f"evaluation/{evaluation}/{paths.MODEL_PAGE.name}")


def _is_of(page: Path, tree: Path) -> bool:
    """Whether a page shows the evaluation in the tree."""
    return page.exists() and digest_file(tree / paths.EVALUATION / "confusion.npy") in page.read_text("utf-8")
