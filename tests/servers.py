"""Servers on loopback, and processes that come and go."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil


def free_port() -> int:
    """A port of loopback at which nothing listened a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def ask(url: str, body: dict[str, Any] | list[Any] | None = None) -> Any:
    """What a server answers in JSON, None where it says nothing; with a body it is a POST."""
    request = Request(url, json.dumps(body).encode() if body is not None else None)
    request.add_header("Content-Type", "application/json")
    for pause in (0.5, 1, 2, 4, 8, 16):
        try:
            with urlopen(request, timeout=30) as answer:
                said = answer.read()
        except HTTPError as error:  # what Prefect says while its database is locked; its own clients ask again too
            if error.code != 503:
                raise
            time.sleep(pause)
        else:
            return json.loads(said) if said else None
    raise AssertionError(f"{url} is unavailable")


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all below it."""
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    for child in below:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(below, timeout=20)  # where nobody collects them they stay as zombies


class MlflowServer:
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
        while not self._healthy():
            assert self._process.poll() is None, (self._folder / "server.log").read_text()
            time.sleep(0.1)

    def _healthy(self) -> bool:
        try:
            with urlopen(f"{self.url}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        kill_tree(self._process)
