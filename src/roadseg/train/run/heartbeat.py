"""The heartbeat of a training: what tells a hung trainer from a slow one."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

NAME = "heartbeat"


@dataclass(frozen=True)
class Heartbeat:
    """The last sign of life.

    Attributes:
        pid: of the trainer.
        at: Unix time, seconds.
        epoch, step: where it was.
        slowest: the longest time between two beats so far, seconds.
    """

    pid: int
    at: float
    epoch: int
    step: int
    slowest: float


def beat(folder: Path, epoch: int, step: int) -> None:
    """Give a sign of life; not fsynced, since after a power cut nobody lives."""
    last, now = read_heartbeat(folder), time.time()
    slowest = max(last.slowest, now - last.at) if last and last.pid == os.getpid() else 0.0
    content = {"pid": os.getpid(), "at": now, "epoch": epoch, "step": step, "slowest": slowest}
    temporary = folder / f".{NAME}.tmp"  # the run folder's lock allows one writer
    temporary.write_text(json.dumps(content))
    temporary.replace(folder / NAME)


def read_heartbeat(folder: Path) -> Heartbeat | None:
    """The last beat in a run folder; None where there is none, or it cannot be read."""
    try:
        return Heartbeat(**json.loads((folder / NAME).read_text()))
    except (OSError, ValueError, TypeError):
        return None
