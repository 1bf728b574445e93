"""Other homes that work on this machine: one training at a time is one per home."""

import os
import shlex
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


def notes_on_neighbours() -> list[str]:
    """Lines that name the other homes at work here, and what can be done: their services serve one checkout alone."""
    return [
        f"{other} works on this machine too (process {process}): a home trains once at a time, and trainings of two "
        f"homes slow each other. `ROADSEG_HOME={shlex.quote(other)} make down` ends its services; or let both work"
        for other, process in other_homes().items()
    ]


def _works(command: list[str]) -> bool:
    said = " ".join(command)
    return "flows/services/services.conf" in said or said.endswith(("-m roadseg train", "-m flows.retrain"))
