"""The page about the data in MLflow."""

from pathlib import Path
from unittest.mock import Mock

import mlflow
import pytest
from judged import refused_tree
from mlflow import MlflowClient

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import digest_file
from roadseg.tracking.data_page import REFUSALS, page_link, publish_refusal
from roadseg.tracking.store import experiment_id


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return refused_tree(tmp_path / "tree")


def page(run_id: str) -> str:
    return str(mlflow.artifacts.load_text(f"runs:/{run_id}/data/data.html"))


def test_the_same_refusal_is_one_run_with_verdict_and_page(client: MlflowClient, tree: Path) -> None:
    run_id = publish_refusal(tree)
    assert publish_refusal(tree) == run_id
    [run] = client.search_runs([experiment_id(client, REFUSALS)])
    assert run.info.run_id == run_id
    assert run.info.status == "FAILED"
    assert run.data.tags["verdict"] == "refused"
    assert run.data.tags["roadseg.scan"] == digest_file(tree / "data/scan.parquet")
    assert run.data.tags["mlflow.note.content"].startswith("## Data refused")
    assert "Data refused" in page(run_id)
    assert "data:image/webp" in page(run_id)
    verdict = mlflow.artifacts.load_text(f"runs:/{run_id}/data/verdict.json")
    assert verdict == (tree / "reports/verdict.json").read_text()


def test_another_judgement_of_the_same_data_is_another_run(client: MlflowClient, tree: Path) -> None:
    first = publish_refusal(tree)
    verdict = tree / "reports/verdict.json"
    verdict.write_text(verdict.read_text().replace("only train", "only val"))
    assert publish_refusal(tree) != first


def test_a_refusal_sent_in_part_is_completed(client: MlflowClient, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for call in ("set_tag", "log_artifact", "set_terminated"):
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, call, Mock(side_effect=ConnectionError("outage")))
            with pytest.raises(ConnectionError, match="outage"):
                publish_refusal(tree)
    assert "Data refused" in page(publish_refusal(tree))
    assert len(client.search_runs([experiment_id(client, REFUSALS)])) == 1


def test_pictures_stay_here_where_they_must(client: MlflowClient, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADSEG_PICTURES", "off")
    sent = page(publish_refusal(tree))
    assert "train/a/01" in sent
    assert "data:image" not in sent


def test_a_link_leads_to_the_file_or_to_the_server_without_its_password(
    client: MlflowClient, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = publish_refusal(tree)
    link = page_link(run_id)
    assert Path(link.removeprefix("file://")).read_text() == page(run_id)
    experiment = experiment_id(client, REFUSALS)
    monkeypatch.setattr("roadseg.tracking.data_page.connect", lambda: client)
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: "https://me:secret@host:5000/mlflow/")
    path = f"#/experiments/{experiment}/runs/{run_id}/artifacts/data/data.html"
    assert page_link(run_id) == f"https://host:5000/mlflow/{path}"


def test_a_tree_without_a_verdict_makes_no_run(client: MlflowClient, tree: Path) -> None:
    (tree / "reports/verdict.json").unlink()
    with pytest.raises(UsageError, match="dvc repro validate"):
        publish_refusal(tree)
    assert client.search_runs([experiment_id(client, REFUSALS)]) == []
