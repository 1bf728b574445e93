"""A training is seen in MLflow while it runs, under plain `dvc repro`, and no server can stop it."""

import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from held import allow
from servers import MlflowServer, kill_tree
from trees import change_params, command_environment, hold_training, run

from roadseg.tracking.publish import publish
from roadseg.train.run.journal import read_journal

EPOCHS = 4


def epochs_in_mlflow(tree: Path, key: str = "monitored.miou", database: Path | None = None) -> list[int]:
    database = database or tree / ".roadseg/mlflow/mlflow.db"
    if not database.exists():
        return []
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as store:
            found = store.execute("select step from metrics where key = ? order by step", [key])
            return [row[0] for row in found]
    except sqlite3.OperationalError:  # its tables are being made
        return []


def entries(tree: Path) -> list[dict[str, Any]]:
    return [entry for folder in (tree / ".roadseg/runs").glob("*") for entry in read_journal(folder)[0]]


def epochs_done(tree: Path) -> int:
    return sum(entry["kind"] == "metric" for entry in entries(tree))


def start_training(
    tree: Path, background: Callable[..., subprocess.Popen[bytes]], **settings: str
) -> subprocess.Popen[bytes]:
    """Start `dvc repro train`; it waits in its second epoch, with the parameters of another experiment."""
    hold_training(tree)
    change_params(tree, {"train": {"epochs": EPOCHS}})
    allow(tree / ".roadseg", 1)
    environment = command_environment(tree, **settings)
    return background(["python", "-m", "dvc", "repro", "-q", "train"], cwd=tree, env=environment)


def test_the_first_epoch_shows_before_the_second_ends(
    finished_checkout: Path, background: Callable[..., subprocess.Popen[bytes]]
) -> None:
    shutil.rmtree(finished_checkout / ".roadseg/runs")
    training = start_training(finished_checkout, background)
    while not epochs_in_mlflow(finished_checkout) and training.poll() is None:
        time.sleep(0.1)
    assert epochs_in_mlflow(finished_checkout) == [1]
    assert epochs_done(finished_checkout) == 1
    training.send_signal(signal.SIGTERM)  # dvc dies, and the stage with it
    training.wait()


def test_a_dead_server_stops_no_training_and_nothing_is_lost(
    finished: Path, finished_checkout: Path, light_model: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not (finished / ".roadseg/mlflow").exists()  # it was made beside a dead server
    monkeypatch.setenv("ROADSEG_HOME", str(finished_checkout / ".roadseg"))
    publish(finished_checkout)
    for key in ("monitored.miou", "pace.images_per_second"):
        assert epochs_in_mlflow(finished_checkout, key) == [1, 2]
    assert pictured(finished_checkout / ".roadseg/mlflow/artifacts") == {1, 2}


def pictured(artifacts: Path) -> set[int]:
    """Epochs whose picture is among the artifacts of any run."""
    return {int(path.name.split("+")[2]) for path in artifacts.glob("**/images/monitored+step+*+compressed.webp")}


def test_a_server_and_a_trainer_killed_together_cost_no_metric(
    finished_checkout: Path,
    tmp_path: Path,
    empty_store: Path,
    light_model: None,
    background: Callable[..., subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tree, home = finished_checkout, finished_checkout / ".roadseg"
    shutil.rmtree(home / "runs")
    with MlflowServer(tmp_path, empty_store) as server:
        settings = {"MLFLOW_TRACKING_URI": server.url, "ROADSEG_CHECKPOINT_SECONDS": "0"}
        training = start_training(tree, background, **settings)
        while not epochs_in_mlflow(tree, database=server.database) and training.poll() is None:
            time.sleep(0.1)
        server.kill()
        known = epochs_in_mlflow(tree, database=server.database)
        assert known == [1]
        allow(home, 2)
        while epochs_done(tree) == len(known) and training.poll() is None:  # it goes on without the server
            time.sleep(0.1)
        assert training.poll() is None
        kill_tree(training)
        assert epochs_done(tree) == 2
        allow(home, EPOCHS)
        run(tree, "dvc", "repro", "-q", **settings)  # and is finished without it
        told = entries(tree)
        assert [entry["text"] for entry in told if entry["kind"] == "note"] == ["start", "start", "done"]
        server.start()
        monkeypatch.setenv("ROADSEG_HOME", str(home))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        publish(tree)
        assert epochs_in_mlflow(tree, database=server.database) == list(range(1, EPOCHS + 1))
        paced = [entry["step"] for entry in told if "pace.waiting" in entry.get("values", {})]
        assert paced == list(range(1, EPOCHS + 1))
        assert epochs_in_mlflow(tree, "pace.waiting", server.database) == paced
        assert pictured(server.artifacts) == {entry["step"] for entry in told if entry["kind"] == "image"} != set()
        looks = [entry["step"] for entry in told if entry["kind"] == "system"]
        shown = set(epochs_in_mlflow(tree, "system/cpu_utilization_percentage", server.database))
        assert shown == set(looks)  # one that was under way when the server died may be there twice
