"""Worker processes for the data stages: on this machine, or on a Dask cluster."""

import gc
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from roadseg.contracts.errors import UsageError
from roadseg.machine.allocator import give_freed_memory_back, keep_freed_memory
from roadseg.machine.signals import follow_parent

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def pool() -> Iterator[Executor]:
    """Worker processes that end with this one; `ROADSEG_WORKERS` of them, else one a core.

    Where `ROADSEG_DASK` names a scheduler, the workers of that Dask cluster instead.
    """
    if address := os.environ.get("ROADSEG_DASK"):
        from roadseg.machine.cluster import cluster  # late: Dask loads in a second, and few use it

        with cluster(address) as executor:
            yield executor
        return
    asked = os.environ.get("ROADSEG_WORKERS") or str(len(os.sched_getaffinity(0)))
    if not asked.isdecimal() or int(asked) == 0:
        raise UsageError(f"ROADSEG_WORKERS is {asked!r}: give a number of processes from 1 on")
    give_freed_memory_back()  # else each worker gets a share of what was only needed before
    gc.freeze()  # else a collection writes to every object, and pages that forked workers share become their own
    local = ProcessPoolExecutor(
        int(asked), multiprocessing.get_context("fork"), initializer=_start_worker, initargs=(os.getpid(),)
    )
    try:
        yield local
    finally:  # after an error or a signal what is queued is dropped, not waited for
        local.shutdown(cancel_futures=True)
        gc.unfreeze()


def map_ahead(
    workers: Executor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int = 64
) -> Iterator[Result]:
    """`workers.map` with a bound: items are taken and results held `ahead` of the reader, no more."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(workers.submit(function, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _start_worker(parent: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the stage's own handler would only raise in a task
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the stage ends the pool
    follow_parent(parent)
    keep_freed_memory()
