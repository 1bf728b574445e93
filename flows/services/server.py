"""A Prefect server for one run, where none is configured; it ends with the process that started it.

Prefect's own temporary server stays behind when the flow is killed with `kill -9`, and every such run leaves one.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.services.waiting import refuse_silent, wait_for
from roadseg.pipeline.process import tied


@contextmanager
def prefect_server(log: Path) -> Iterator[str]:
    """Give the address of the configured server's API, or of one started for the block.

    Raises:
        UsageError: the configured one does not answer.
        RoadsegError: it did not start; names the log.
    """
    if configured := PREFECT_API_URL.value():
        refuse_silent(configured)
        yield configured
        return
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    log.parent.mkdir(parents=True, exist_ok=True)
    serve = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with log.open("ab") as opened:
        server = subprocess.Popen(
            tied([sys.executable, *serve]),
            stdin=subprocess.DEVNULL,
            stdout=opened,
            stderr=opened,
        )
    try:
        wait_for(f"{url}/health", lambda: server.poll() is not None, log)
        os.environ["PREFECT_API_URL"] = url
        with temporary_settings({PREFECT_API_URL: url}):
            yield url
    finally:
        asyncio.run(APILogHandler.aflush())  # lines that wait would find no server
        os.environ.pop("PREFECT_API_URL", None)
        server.terminate()
        server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
