"""A Prefect server for one run, where none is configured; it ends with the process that started it.

Prefect's own temporary server stays behind when the flow is killed with `kill -9`, and every such run leaves one.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, temporary_settings

from roadseg.contracts.errors import RoadsegError

PATIENCE = 90.0  # seconds; the first start creates the database


@contextmanager
def prefect_server(log: Path) -> Iterator[str]:
    """Give the address of the configured server's API, or of one started for the block.

    Raises:
        RoadsegError: it did not start; names the log.
    """
    if PREFECT_API_URL.value():
        yield PREFECT_API_URL.value()
        return
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    log.parent.mkdir(parents=True, exist_ok=True)
    serve = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with log.open("ab") as opened:
        server = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", sys.executable, *serve],
            stdin=subprocess.DEVNULL,
            stdout=opened,
            stderr=opened,
        )
    try:
        wait_for(f"{url}/health", server, log)
        os.environ["PREFECT_API_URL"] = url
        with temporary_settings({PREFECT_API_URL: url}):
            yield url
    finally:
        asyncio.run(APILogHandler.aflush())  # lines that wait would find no server
        os.environ.pop("PREFECT_API_URL", None)
        server.terminate()
        server.wait()


def wait_for(url: str, process: "subprocess.Popen[bytes] | None", log: Path) -> None:
    """Wait until `url` answers.

    Raises:
        RoadsegError: the process ended or did not answer in time.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RoadsegError(f"{url} does not answer: see {log}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
