"""Looks at the machine while a training runs, and tells the journal."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from roadseg.contracts.hardware import machine_load
from roadseg.contracts.journal import Journal, read_journal

PAUSE = 10.0  # seconds between two looks, as MLflow has it


@contextmanager
def watching(journal: Journal, pause: float = PAUSE) -> Iterator[None]:
    """Inside, a thread of its own enters the machine's figures each `pause` seconds; after a kill the steps go on."""
    step = sum(entry["kind"] == "system" for entry in read_journal(journal.folder)[0])
    stop = threading.Event()
    thread = threading.Thread(target=_look, args=(journal, step, stop, pause), daemon=True, name="system")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _look(journal: Journal, step: int, stop: threading.Event, pause: float) -> None:
    failed = False
    with suppress(OSError, RuntimeError):
        machine_load()  # the CPU's share counts from here
    while not stop.wait(pause):
        try:
            journal.system(step + 1, machine_load())  # from 1: MLflow links what a run has at step 0 to its model
            step += 1
        except (OSError, RuntimeError) as error:  # psutil has no such figure here, or the disk is full
            if not failed:
                print(f"warning: no system metrics: {error}", file=sys.stderr, flush=True)
            failed = True
