"""A training is seen in MLflow while it runs, under plain `dvc repro`, and no server can stop it."""

import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from trees import change_params, command_environment, run

from roadseg.contracts.journal import read_journal


def epochs_in_mlflow(tree: Path) -> list[int]:
    database = tree / ".roadseg/mlflow/mlflow.db"
    if not database.exists():
        return []
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as store:
            return [
                row[0] for row in store.execute("select step from metrics where key = 'monitored.miou' order by step")
            ]
    except sqlite3.OperationalError:  # its tables are being made
        return []


def epochs_done(tree: Path) -> int:
    folders = (tree / ".roadseg/runs").glob("*")
    return sum(entry["kind"] == "metric" for folder in folders for entry in read_journal(folder)[0])


def test_the_first_epoch_shows_before_the_second_ends(
    checkout: Path, background: Callable[..., subprocess.Popen[bytes]]
) -> None:
    change_params(checkout, {"preprocess": {"height": 128, "width": 128}, "train": {"model": "tutorial", "epochs": 3}})
    run(checkout, "dvc", "repro", "-q", "preprocess")
    command = ["python", "-m", "dvc", "repro", "train"]
    training = background(command, cwd=checkout, env=command_environment(checkout), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while not (shown := epochs_in_mlflow(checkout)) and time.monotonic() < deadline and training.poll() is None:
        time.sleep(0.1)
    assert shown == [1]
    assert epochs_done(checkout) == 1
    training.send_signal(signal.SIGTERM)  # dvc dies, and the stage with it
    training.wait()


def test_a_dead_server_stops_no_training_and_nothing_is_lost(checkout: Path) -> None:
    run(checkout, "dvc", "repro", "-q", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert epochs_in_mlflow(checkout) == []
    run(checkout, "roadseg", "publish")
    assert epochs_in_mlflow(checkout) == [1, 2]
