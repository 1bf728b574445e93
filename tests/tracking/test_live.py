"""A training is seen in MLflow while it runs, under plain `dvc repro`, and no server can stop it."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.request import urlopen

import psutil
from trees import change_params, command_environment, run

from roadseg.contracts.journal import read_journal


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
    for key in ("monitored.miou", "pace.images_per_second"):
        assert epochs_in_mlflow(checkout, key) == [1, 2]
    assert pictured(checkout / ".roadseg/mlflow/artifacts") == {1, 2}


def pictured(artifacts: Path) -> set[int]:
    """Epochs whose picture is among the artifacts of any run."""
    return {int(path.name.split("+")[2]) for path in artifacts.glob("**/images/monitored+step+*+compressed.webp")}


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all below it."""
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    for child in below:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(below, timeout=20)  # where nobody collects them they stay as zombies


class Server:
    """A real server of MLflow on loopback, that can be killed and started again; ends with the block."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.database, self.artifacts = Path(shutil.copy2(store, folder / "server.db")), folder / "artifacts"
        self.url, self._folder = f"http://127.0.0.1:{free_port()}", folder

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        places = ["--backend-store-uri", f"sqlite:///{self.database}", "--artifacts-destination", str(self.artifacts)]
        where = ["--host", "127.0.0.1", "--port", self.url.rpartition(":")[2], "--workers", "1"]
        command = [sys.executable, "-m", "mlflow", "server", *places, *where]
        settings = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # nine more processes
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, env=settings, stdout=log, stderr=log)
        wait(self._healthy, 90)

    def _healthy(self) -> bool:
        try:
            with urlopen(f"{self.url}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        end(self._process)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def wait(until: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_server_and_a_trainer_killed_together_cost_no_metric(
    checkout: Path, tmp_path: Path, empty_store: Path, background: Callable[..., subprocess.Popen[bytes]]
) -> None:
    change_params(checkout, {"preprocess": {"height": 128, "width": 128}, "train": {"model": "tutorial", "epochs": 6}})
    run(checkout, "dvc", "repro", "-q", "preprocess")
    with Server(tmp_path, empty_store) as server:
        settings = {"MLFLOW_TRACKING_URI": server.url, "ROADSEG_CHECKPOINT_SECONDS": "1"}
        command = ["python", "-m", "dvc", "repro", "-q", "train"]
        training = background(command, cwd=checkout, env=command_environment(checkout, **settings))
        wait(lambda: epochs_in_mlflow(checkout, database=server.database) != [], 240)
        server.kill()
        known = epochs_in_mlflow(checkout, database=server.database)
        wait(lambda: epochs_done(checkout) > len(known), 240)  # it goes on without the server
        assert training.poll() is None
        end(training)
        assert epochs_done(checkout) < 6
        run(checkout, "dvc", "repro", "-q", **settings)  # and is finished without it
        told = entries(checkout)
        assert [entry["text"] for entry in told if entry["kind"] == "note"] == ["start", "start", "done"]
        server.start()
        run(checkout, "roadseg", "publish", **settings)
        for key in ("monitored.miou", "pace.images_per_second"):
            assert epochs_in_mlflow(checkout, key, server.database) == [1, 2, 3, 4, 5, 6]
        assert pictured(server.artifacts) == {1, 2, 3, 4, 5, 6}
        looks = [entry["step"] for entry in told if entry["kind"] == "system"]
        shown = set(epochs_in_mlflow(checkout, "system/cpu_utilization_percentage", server.database))
        assert shown == set(looks)  # one that was under way when the server died may be there twice
