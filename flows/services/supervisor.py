"""supervisord, which keeps servers and worker alive, and the commands that it takes."""

import re
import subprocess
import sys
from pathlib import Path

from flows.services.waiting import wait_for
from roadseg.contracts.errors import RoadsegError

CONFIGURATION = Path(__file__).with_name("services.conf")


def start(env: dict[str, str]) -> None:
    """Start it and the servers; the worker waits for `control(env, "start", "worker")`.

    Raises:
        RoadsegError: it does not start.
    """
    log = Path(env["SERVICES"]) / "supervisord.log"
    run([sys.executable, "-m", "supervisor.supervisord", "-c", str(CONFIGURATION)], env, log)


def runs_already(env: dict[str, str]) -> bool:
    """Whether one runs for this home."""
    return control(env, "pid").returncode == 0


def control(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Give it a command."""
    command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(CONFIGURATION), *words]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def wait_until_up(env: dict[str, str], name: str, url: str) -> None:
    """Wait until a program of it answers.

    Raises:
        RoadsegError: it ended or does not answer; with the last that it said.
    """
    log = Path(env["SERVICES"]) / f"{name}.log"
    first: list[str] = []

    def ended() -> bool:
        said = control(env, "status", name).stdout
        pids = re.findall(r"pid (\d+)", said)
        first.extend(pids if not first else [])
        return not re.search(r"STARTING|RUNNING", said) or (bool(pids) and pids != first)  # started a second time

    wait_for(url, ended, log)


def run(command: list[str], env: dict[str, str], log: Path) -> None:
    """Run a command to its end.

    Raises:
        RoadsegError: it failed; with what it said.
    """
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        said = " ".join(f"{done.stdout} {done.stderr}".split())
        raise RoadsegError(f"`{' '.join(command[2:])}` failed: {said} (see {log})")
