"""Whether a flow run still works: a lock in home that its process holds, which the kernel frees however that dies.

Knows no Prefect, so that a run's process can hold its lock before anything else.
"""

import fcntl
import os
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psutil

from roadseg.contracts.files import home

RUN_VARIABLE = "PREFECT__FLOW_RUN_ID"  # the worker gives it to a run's process, and all below inherit it
_held: dict[str, int] = {}


def hold(run: str) -> None:
    """Hold the run's lock until this process ends.

    It is shared: a run that waited for a person goes on in a second process, while the first may still end.
    """
    if run in _held:
        return
    path = _lock(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    _held[run] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(_held[run], fcntl.LOCK_SH)


def life(run: str, at_work: Container[str]) -> Literal["alive", "dead", "unknown"]:
    """Whether a process of the run lives; unknown where it never began in this home.

    Args:
        run: its id.
        at_work: what `runs_at_work` found: a trainer may still write its checkpoint.
    """
    if run in at_work:
        return "alive"
    try:
        descriptor = os.open(_lock(run), os.O_RDWR)
    except FileNotFoundError:
        return "unknown"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return "alive"
    finally:
        os.close(descriptor)
    return "dead"


def runs_at_work() -> set[str]:
    """The runs of this home of which a process lives on this machine, be it a stage's."""
    found = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            seen = process.environ()
            if seen.get("ROADSEG_HOME") == str(home()) and process.status() != psutil.STATUS_ZOMBIE:
                found.add(seen.get(RUN_VARIABLE, ""))
    return found - {""}


def forget(run: str) -> None:
    """Remove the lock of a run that has ended."""
    _lock(run).unlink(missing_ok=True)


def known_runs() -> list[str]:
    """The runs that have a lock in this home, held or not."""
    return sorted(path.stem for path in (home() / "flows").glob("*.lock"))


def _lock(run: str) -> Path:
    return home() / "flows" / f"{run}.lock"
