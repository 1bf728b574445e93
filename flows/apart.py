"""Run a module of roadseg in a process of its own, its lines in the task's log, and get what it left in a file."""

import sys
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

from prefect import get_run_logger

from roadseg.contracts.errors import BUSY, REFUSED, Busy, DataRefused, RoadsegError
from roadseg.contracts.files import read_json
from roadseg.pipeline.dvc import dvc_environment
from roadseg.pipeline.process import stream

TAIL = 5  # lines of a process that failed that its error repeats


def run_apart(tree: Path, module: str, arguments: list[str], report: str) -> dict[str, Any]:
    """Run `python -m MODULE ARGUMENTS REPORT` in a tree, with the tree's own code, as its stages do.

    Args:
        tree: the project folder that it works in.
        module, arguments: what to run; the file for its report is added as the last argument.
        report: schema of what it leaves there.

    Raises:
        Busy, DataRefused: as it ended; RoadsegError for all else. With the last lines.
    """
    log, tail = get_run_logger(), deque[str](maxlen=TAIL)

    def line(said: str) -> None:
        if said.strip():
            tail.append(said)
            log.info("%s", said)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "report.json")
        command = [sys.executable, "-m", module, *arguments, str(path)]
        environment = dvc_environment({"PYTHONPATH": str(tree / "src")})  # else half-edited rules would judge
        if status := stream(command, cwd=tree, env=environment, line=line):
            said = "; ".join(tail).removeprefix("error: ") or f"{module} ended with {status}"
            raise {BUSY: Busy, REFUSED: DataRefused}.get(status, RoadsegError)(said)
        return read_json(path, report, "the same again")
