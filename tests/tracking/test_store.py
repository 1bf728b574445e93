import sqlite3
import time
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric

from roadseg.contracts.files import home
from roadseg.tracking.repair import repair, without_home
from roadseg.tracking.store import (
    EXPERIMENT,
    connect,
    create_run,
    experiment_id,
    find_or_create_run,
    find_run,
    find_runs,
    send_missing,
)


def history(client: MlflowClient, run_id: str, key: str) -> list[tuple[int, float]]:
    return sorted((entry.step, entry.value) for entry in client.get_metric_history(run_id, key))


def test_artifacts_go_home_and_not_to_the_current_folder(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    client.log_text(find_or_create_run(client, "f" * 64).info.run_id, "said", "note.txt")
    [note] = home().rglob("note.txt")
    assert note.read_text() == "said"
    assert not list((tmp_path / "elsewhere").iterdir())


def write(note: Path) -> None:
    note.parent.mkdir(parents=True)
    note.write_text("said")


def test_a_home_that_moved_is_read_and_written_where_it_is_now(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = find_or_create_run(client, "f" * 64).info.run_id
    write(home() / f"mlflow/artifacts/roadseg/{run_id}/artifacts/folder/note.txt")  # as a server would
    old = home()
    moved = old.rename(tmp_path / "a place % with: spaces")
    monkeypatch.setenv("ROADSEG_HOME", str(moved))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # which MLflow sets for its children
    client = connect()
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/folder/note.txt") == "said"
    client.log_text(run_id, "more", "folder/more.txt")
    assert [path.name for path in sorted(moved.rglob("*.txt"))] == ["more.txt", "note.txt"]
    assert not old.exists()


def test_a_home_of_an_older_version_is_repaired_once_wherever_it_was(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = find_or_create_run(client, "f" * 64).info.run_id
    database, artifacts = home() / "mlflow/mlflow.db", home() / "mlflow/artifacts"
    write(artifacts / run_id / "artifacts/note.txt")
    was = "file:///old/mlflow/artifacts/home%20of/mlflow/artifacts"
    with closing(sqlite3.connect(database)) as store, store:
        store.execute("update runs set artifact_uri = ?", [f"{was}/{run_id}/artifacts"])
        store.execute("update experiments set artifact_location = ? where name = ?", [was, EXPERIMENT])
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    client = connect()
    assert mlflow.artifacts.load_text(f"runs:/{run_id}/note.txt") == "said"
    client.log_text(find_or_create_run(client, "e" * 64).info.run_id, "later", "later.txt")
    assert len(list(artifacts.rglob("*.txt"))) == 2
    assert repair(database) == 0


@pytest.mark.parametrize(
    ("location", "portable"),
    [
        ("file:///home/me/mlflow/artifacts", "mlflow-artifacts:/"),
        ("file:///home/me/mlflow/artifacts/12/artifacts", "mlflow-artifacts:/12/artifacts"),
        ("file:///home/me/mlflow/artifacts-of-others/12", None),
        ("mlflow-artifacts:/3/12/artifacts", None),
        ("s3://bucket/mlflow/artifacts/12", None),
    ],
)
def test_only_files_of_a_home_are_moved(location: str, portable: str | None) -> None:
    assert without_home(location) == (portable or location)


def test_a_name_is_one_experiment(client: MlflowClient) -> None:
    assert experiment_id(client) == experiment_id(client) == experiment_id(client, EXPERIMENT)
    assert experiment_id(client, "another") != experiment_id(client)


def test_a_fingerprint_is_one_run(client: MlflowClient) -> None:
    assert find_run(client, "a" * 64) is None
    one, again, other = (find_or_create_run(client, letter * 64).info.run_id for letter in "aab")
    assert one == again != other
    found = find_run(client, "a" * 64)
    assert found is not None
    assert found.info.run_id == one
    assert found.data.tags["roadseg.fingerprint"] == "a" * 64


def test_of_several_runs_of_a_training_the_first_made_is_the_one_that_is_followed(client: MlflowClient) -> None:
    made = []
    for _ in range(3):
        made.append(create_run(client, "a" * 64).info.run_id)
        time.sleep(0.01)  # MLflow's clock has steps of a millisecond
    assert [run.info.run_id for run in find_runs(client, "a" * 64)] == made
    assert find_or_create_run(client, "a" * 64).info.run_id == made[0]


def test_only_what_the_run_lacks_is_sent(client: MlflowClient) -> None:
    run_id = find_or_create_run(client, "a" * 64).info.run_id
    first = [Metric("loss", 1.0, 1, 1), Metric("loss", 0.5, 2, 2), Metric("miou", 0.3, 2, 2)]
    assert send_missing(client, run_id, first) == 3
    later = [Metric("loss", 1.0, 90, 1), Metric("loss", 0.5, 91, 2), Metric("loss", 0.2, 92, 3)]
    assert send_missing(client, run_id, later) == 1
    assert history(client, run_id, "loss") == [(1, 1.0), (2, 0.5), (3, 0.2)]
    assert history(client, run_id, "miou") == [(2, 0.3)]


def test_of_a_step_said_twice_the_last_word_is_sent(client: MlflowClient) -> None:
    run_id = find_or_create_run(client, "a" * 64).info.run_id
    assert send_missing(client, run_id, [Metric("loss", 1.0, 1, 1), Metric("loss", 0.9, 2, 1)]) == 1
    assert history(client, run_id, "loss") == [(1, 0.9)]


def test_more_metrics_than_one_request_takes_are_sent(client: MlflowClient) -> None:
    run_id = find_or_create_run(client, "a" * 64).info.run_id
    assert send_missing(client, run_id, [Metric("loss", float(step), step, step) for step in range(1500)]) == 1500
    assert len(history(client, run_id, "loss")) == 1500


def test_a_metric_that_the_run_has_and_its_model_has_not_is_linked_and_not_doubled(client: MlflowClient) -> None:
    run = find_or_create_run(client, "a" * 64).info
    model = client.create_logged_model(run.experiment_id, "model", run.run_id).model_id
    assert send_missing(client, run.run_id, [Metric("miou", 0.5, 1, 0)]) == 1
    about = {"model_id": model, "dataset_name": "val", "dataset_digest": "d" * 32}
    assert send_missing(client, run.run_id, [Metric("miou", 0.6, 9, 0, **about)]) == 1
    assert send_missing(client, run.run_id, [Metric("miou", 0.7, 10, 0, **about)]) == 0
    [entry] = client.get_metric_history(run.run_id, "miou")
    [linked] = client.get_logged_model(model).metrics
    assert (entry.value, entry.timestamp) == (linked.value, linked.timestamp) == (0.5, 1)
    assert (linked.dataset_name, linked.dataset_digest) == ("val", "d" * 32)
