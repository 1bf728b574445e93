"""Other homes that work on this machine: one training at a time is one per home."""

import os
from contextlib import suppress
from pathlib import Path

import psutil

from roadseg.contracts.files import home


def other_homes() -> dict[str, int]:
    """Homes other than this one with services or a training on this machine, each with a process that works there.

    Only of processes whose environment may be read: the same user's.
    """
    found: dict[str, int] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if not _works(process.cmdline()):
                continue
            other = process.environ().get("ROADSEG_HOME", "")
            if other and Path(other) != home() and process.pid != os.getpid():
                found.setdefault(other, process.pid)
    return found


def _works(command: list[str]) -> bool:
    said = " ".join(command)
    return "flows/services/services.conf" in said or said.endswith(("-m roadseg train", "-m flows.retrain"))
