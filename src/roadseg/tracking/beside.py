"""Talk to MLflow beside a stage, in a process of its own, so that no outage can stop the stage or its answer."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE, HURRY = 10.0, 2.0  # seconds that the last lines may take; publish sends what is missing anyway
REFUSAL_PATIENCE = 90.0  # seconds; a new embedded store alone takes ten


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
            stderr=log,  # what it says to people goes into the training's own log
        )
    patience = PATIENCE
    try:
        yield
    except BaseException:  # told to stop: whoever told waits for all to end
        patience = HURRY
        raise
    finally:
        follower.terminate()
        try:
            follower.wait(patience)
        except subprocess.TimeoutExpired:
            follower.kill()
            follower.wait()


def send_refusal(tree: Path, home: Path) -> str | None:
    """Put the verdict and the page of refused data into MLflow.

    Returns:
        The page's address, or None where MLflow did not take it; `refusal.log` in home says why.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "refusal.log").open("w") as log:
        try:
            sent = subprocess.run(
                [sys.executable, "-m", "roadseg.tracking.data_page"],
                cwd=tree,
                env={**os.environ, "ROADSEG_HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                timeout=REFUSAL_PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return None
    return sent.stdout.strip().rpartition("\n")[2] if sent.returncode == 0 else None
