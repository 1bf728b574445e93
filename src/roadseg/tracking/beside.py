"""Run the follower beside a training, in a process of its own, so that no outage can stop the trainer."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 10.0  # seconds that the last lines may take; publish sends what is missing anyway


@contextmanager
def following(home: Path) -> Iterator[None]:
    """Send the journals in `home` to MLflow while the block runs; `ROADSEG_FOLLOW=off` sends none."""
    if os.environ.get("ROADSEG_FOLLOW") == "off":
        yield
        return
    home.mkdir(parents=True, exist_ok=True)
    with (home / "follow.log").open("ab") as log:
        follower = subprocess.Popen(
            [sys.executable, "-m", "roadseg.tracking.follow"],
            env={**os.environ, "ROADSEG_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        follower.terminate()
        try:
            follower.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            follower.kill()
            follower.wait()
