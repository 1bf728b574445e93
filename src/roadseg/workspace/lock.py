"""Who works in the workspace: one run at a time in a home, by a lock that the kernel frees when its holder dies."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from roadseg.contracts.errors import Busy
from roadseg.contracts.files import home

TRIES, PAUSE = 20, 0.05  # for a moment whoever asks holds it, and what a killed run was just about to start


@dataclass(frozen=True)
class Holder:
    """A run that works in the workspace.

    Attributes:
        run: its id.
        name: as people see it.
        pid: of its process.
        since: seconds since the epoch.
    """

    run: str
    name: str
    pid: int
    since: float

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since).astimezone().strftime("%Y-%m-%d %H:%M")
        return f"{self.name or self.run} (process {self.pid}, since {since})"


class Held(Busy):
    """Another run works in the workspace.

    Attributes:
        holder: that run; None where it has not said yet.
    """

    def __init__(self, holder: Holder | None) -> None:
        """Say who holds it."""
        super().__init__(f"the workspace is in use by {holder or 'another run'}: wait until that ends")
        self.holder = holder


@contextmanager
def workspace_lock(me: Holder) -> Iterator[None]:
    """Hold the workspace of this home while the block runs.

    Raises:
        Held: another run holds it.
    """
    descriptor = _open()
    try:
        for attempt in range(TRIES):
            if _take(descriptor, fcntl.LOCK_EX):
                break
            if attempt == TRIES - 1:
                raise Held(_written(descriptor))
            time.sleep(PAUSE)
        _write(descriptor, json.dumps(asdict(me)))
        try:
            yield
        finally:
            _write(descriptor, "")
    finally:
        os.close(descriptor)


def present_holder() -> Holder | None:
    """Who holds the workspace of this home now; None where nobody does."""
    if not _path().exists():
        return None
    descriptor = _open()
    try:
        if _take(descriptor, fcntl.LOCK_SH):  # two that ask do not take each other for a run
            return None
        return _written(descriptor) or Holder("", "a run that has begun", 0, time.time())
    finally:
        os.close(descriptor)


def _path() -> Path:
    return home() / "workspace.lock"


def _open() -> int:
    _path().parent.mkdir(parents=True, exist_ok=True)
    return os.open(_path(), os.O_RDWR | os.O_CREAT, 0o644)  # what we start does not inherit it


def _take(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def _written(descriptor: int) -> Holder | None:
    try:
        return Holder(**json.loads(os.pread(descriptor, 1 << 16, 0)))
    except (ValueError, TypeError):  # it is being written
        return None
