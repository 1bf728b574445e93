"""The worker's process, as people and scripts start it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from trees import ROOT


def test_a_worker_that_a_script_started_ends_when_it_is_told_to(
    prefect_api: str, tmp_path: Path, background: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """A shell that starts things in the background leaves SIGINT ignored, and so Prefect's own worker never ends."""
    log = tmp_path / "worker.log"
    settings = {"PREFECT_API_URL": prefect_api, "ROADSEG_POOL": "scripted", "ROADSEG_HOME": str(tmp_path / "home")}
    env = {**os.environ, **settings, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    command = ["env", "--ignore-signal=INT,QUIT", sys.executable, "-m", "flows.services.worker"]
    with log.open("wb") as opened:
        worker = background(command, env=env, cwd=tmp_path, stdout=opened, stderr=opened)
    deadline = time.monotonic() + 300
    while "started" not in log.read_text():
        assert worker.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    worker.terminate()
    worker.wait(timeout=60)
