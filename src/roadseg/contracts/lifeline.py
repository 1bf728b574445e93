"""A process that works for another ends with it, also after `kill -9`."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

PR_SET_PDEATHSIG = 1


def follow_parent(parent: int | None = None) -> None:
    """Ask the kernel for SIGTERM when the parent dies; end at once if it is dead already.

    Args:
        parent: process id of the parent where the caller knows it. Without it a parent that died
            before this call is known by its session: whoever adopts orphans lives in another.

    Source: prctl(2), PR_SET_PDEATHSIG; it follows the parent's thread, so start children from the main thread.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    session = os.getsid(0)  # of a leader of its own session, as `setsid` makes it, nothing can be told
    stranger = session != os.getpid() and os.getsid(os.getppid()) != session
    adopted = os.getppid() != parent if parent else stranger
    if adopted:
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def pool() -> Iterator[ProcessPoolExecutor]:
    """Worker processes that end with this one; `ROADSEG_WORKERS` of them, else one a core."""
    workers = int(os.environ.get("ROADSEG_WORKERS") or len(os.sched_getaffinity(0)))
    executor = ProcessPoolExecutor(
        workers, multiprocessing.get_context("fork"), initializer=_start_worker, initargs=(os.getpid(),)
    )
    try:
        yield executor
    finally:  # after an error or a signal what is queued is dropped, not waited for
        executor.shutdown(cancel_futures=True)


def _start_worker(parent: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the stage's own handler would only raise in a task
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the stage ends the pool
    follow_parent(parent)
