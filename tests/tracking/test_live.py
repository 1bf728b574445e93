"""A training is seen in MLflow while it runs, under plain `dvc repro`, and no server can stop it."""

import signal
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from servers import MlflowServer, kill_tree, wait_for
from trees import change_params, command_environment, run

from roadseg.train.run.journal import read_journal


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


def test_the_first_epoch_shows_before_the_second_ends(
    checkout: Path, background: Callable[..., subprocess.Popen[bytes]]
) -> None:
    change_params(checkout, {"preprocess": {"height": 128, "width": 128}, "train": {"model": "tutorial", "epochs": 3}})
    run(checkout, "dvc", "repro", "-q", "preprocess")
    command = ["python", "-m", "dvc", "repro", "train"]
    training = background(command, cwd=checkout, env=command_environment(checkout), stdout=subprocess.DEVNULL)
    wait_for(lambda: epochs_in_mlflow(checkout) != [] or training.poll() is not None, 240)
    assert epochs_in_mlflow(checkout) == [1]
    assert epochs_done(checkout) == 1
    training.send_signal(signal.SIGTERM)  # dvc dies, and the stage with it
    training.wait()


def test_a_dead_server_stops_no_training_and_nothing_is_lost(checkout: Path) -> None:
    run(checkout, "dvc", "repro", "-q", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert epochs_in_mlflow(checkout) == []
    run(checkout, "roadseg", "publish")
    for key in ("monitored.miou", "pace.images_per_second"):
        assert epochs_in_mlflow(checkout, key) == [1, 2]
    assert pictured(checkout / ".roadseg/mlflow/artifacts") == {1, 2}


def pictured(artifacts: Path) -> set[int]:
    """Epochs whose picture is among the artifacts of any run."""
    return {int(path.name.split("+")[2]) for path in artifacts.glob("**/images/monitored+step+*+compressed.webp")}


def test_a_server_and_a_trainer_killed_together_cost_no_metric(
    checkout: Path, tmp_path: Path, empty_store: Path, background: Callable[..., subprocess.Popen[bytes]]
) -> None:
    epochs = 16  # of about a second: some are over when the first is seen
    train = {"model": "base", "epochs": epochs}
    change_params(checkout, {"preprocess": {"height": 128, "width": 256}, "train": train})
    run(checkout, "dvc", "repro", "-q", "preprocess")
    with MlflowServer(tmp_path, empty_store) as server:
        settings = {"MLFLOW_TRACKING_URI": server.url, "ROADSEG_CHECKPOINT_SECONDS": "1"}
        command = ["python", "-m", "dvc", "repro", "-q", "train"]
        training = background(command, cwd=checkout, env=command_environment(checkout, **settings))
        wait_for(lambda: epochs_in_mlflow(checkout, database=server.database) != [], 240)
        server.kill()
        known = epochs_in_mlflow(checkout, database=server.database)
        wait_for(lambda: epochs_done(checkout) > len(known), 240)  # it goes on without the server
        assert training.poll() is None
        kill_tree(training)
        assert epochs_done(checkout) < epochs
        run(checkout, "dvc", "repro", "-q", **settings)  # and is finished without it
        told = entries(checkout)
        assert [entry["text"] for entry in told if entry["kind"] == "note"] == ["start", "start", "done"]
        server.start()
        run(checkout, "roadseg", "publish", **settings)
        assert epochs_in_mlflow(checkout, database=server.database) == list(range(1, epochs + 1))
        paced = [entry["step"] for entry in told if "pace.waiting" in entry.get("values", {})]
        assert len(paced) >= epochs - 1  # of the epoch that was killed behind its last step none is known
        assert epochs_in_mlflow(checkout, "pace.waiting", server.database) == paced
        assert pictured(server.artifacts) == {entry["step"] for entry in told if entry["kind"] == "image"} != set()
        looks = [entry["step"] for entry in told if entry["kind"] == "system"]
        shown = set(epochs_in_mlflow(checkout, "system/cpu_utilization_percentage", server.database))
        assert shown == set(looks)  # one that was under way when the server died may be there twice
