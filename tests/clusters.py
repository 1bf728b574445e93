"""A Dask cluster of local processes, each with a process id that can be killed."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from distributed import Client
from servers import free_port
from trees import ROOT

Start = Callable[..., "subprocess.Popen[bytes]"]


@dataclass
class Dask:
    """A scheduler on loopback, and what starts workers of it."""

    address: str
    start: Start
    folder: Path

    @classmethod
    def begin(cls, start: Start, folder: Path) -> "Dask":
        folder.mkdir()
        port = str(free_port())
        dask = cls(f"tcp://127.0.0.1:{port}", start, folder)
        dask._run("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
        return dask

    def worker(self, **environment: str) -> "subprocess.Popen[bytes]":
        options = ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", str(self.folder)]
        return self._run("worker", self.address, *options, **environment)

    def wait_for(self, workers: int) -> None:
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)

    def _run(self, *arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
        env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **environment}
        command = [sys.executable, "-m", "dask", *arguments]
        return self.start(command, cwd=self.folder, env=env, stderr=subprocess.DEVNULL)
