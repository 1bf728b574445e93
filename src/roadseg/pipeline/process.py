"""Run a command in a process group of its own, stream its lines, and leave nothing of it behind."""

import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from roadseg.contracts.errors import UsageError

GRACE = 20.0  # seconds from SIGTERM to SIGKILL; a Prefect worker kills the flow itself after 30
REAPED = 3.0  # seconds for init to collect what was killed; in a container without one it never does


def stream(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    line: Callable[[str], object],
    grace: float = GRACE,
) -> int:
    """Run a command and hand over its output line by line.

    Call it from the main thread: the command is ended by the kernel when the calling thread dies.

    Args:
        command: program and arguments.
        cwd: folder to run in.
        env: the whole environment.
        line: is told each line of stdout and stderr, without the newline.
        grace: seconds between SIGTERM and SIGKILL where the end is forced.

    Returns:
        The exit status, negative for a signal; by then the whole group has ended.

    Raises:
        UsageError: see `tied`.
    """
    process = subprocess.Popen(
        tied(command),
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    output = _Lines(process.stdout.fileno(), line)
    try:
        while output.read(0.2) or process.poll() is None:
            pass  # not until the pipe closes: an orphan in the group may hold it open
    finally:
        end_group(process, grace)
        while output.read(0):  # what it said while it ended
            pass
        process.stdout.close()
    return process.returncode


def tied(command: Sequence[str]) -> list[str]:
    """The command, so that the kernel ends it when the thread that starts it dies.

    Raises:
        UsageError: the tool for it is not there.
    """
    if not shutil.which("setpriv"):
        raise UsageError("setpriv is not installed, and nothing would end what the flow starts: it is util-linux's")
    return ["setpriv", "--pdeathsig", "TERM", *command]


def end_group(process: subprocess.Popen[bytes], grace: float) -> None:
    """Wait until the group is empty: SIGTERM, `grace` seconds, SIGKILL.

    The leader alone is not enough: DVC dies at SIGTERM before the trainer has written its checkpoint.
    """
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, REAPED)):
        if not _signal(process.pid, number):
            break
        deadline = time.monotonic() + patience
        while _signal(process.pid, 0) and time.monotonic() < deadline:
            process.poll()  # reaps the leader, which would count as alive
            time.sleep(0.05)
    process.wait()


def _signal(group: int, number: int) -> bool:
    with suppress(ProcessLookupError):
        os.killpg(group, number)
        return True
    return False


class _Lines:
    """Cuts what comes out of a pipe into lines; of a line that was drawn over, its last state."""

    def __init__(self, descriptor: int, line: Callable[[str], object]) -> None:
        self._descriptor, self._line, self._rest, self._open = descriptor, line, b"", True

    def read(self, patience: float) -> bool:
        """Wait up to `patience` seconds for output and hand over its whole lines; False if none came."""
        if not self._open:
            time.sleep(patience)
            return False
        if not select.select([self._descriptor], [], [], patience)[0]:
            return False
        chunk = os.read(self._descriptor, 1 << 16)
        self._open = bool(chunk)
        *lines, self._rest = (self._rest + chunk + (b"" if chunk or not self._rest else b"\n")).split(b"\n")
        for said in lines:
            self._line(said.rstrip(b"\r").rsplit(b"\r", 1)[-1].decode(errors="replace"))
        return True
