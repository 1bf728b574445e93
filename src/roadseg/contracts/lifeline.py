"""A process that works for another ends with it, also after `kill -9`; and pools of such processes."""

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from roadseg.contracts.errors import Interrupted, UsageError

PR_SET_PDEATHSIG = 1
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
Item = TypeVar("Item")
Result = TypeVar("Result")


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


class Stop:
    """Whether this process was asked to stop, by SIGTERM or SIGINT."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self.came: signal.Signals | None = None
        self._raises = False

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, being asked raises, since what is done here takes long and its state is whole without it.

        Raises:
            Interrupted: asked inside, or before.
        """
        self._raises = True
        try:
            if self.came:
                self.note(self.came, None)
            yield
        finally:
            self._raises = False

    def note(self, number: int, _: FrameType | None) -> None:
        """Handle the signal."""
        self.came = self.came or signal.Signals(number)
        if self._raises:
            self._raises = False  # once is enough: the parent's death sends another
            raise Interrupted(f"stopped by {self.came.name}: run the same command to go on")


@contextmanager
def stopping() -> Iterator[Stop]:
    """Inside, SIGTERM and SIGINT are noted and raise nothing by themselves, so that work ends where its state is whole.

    One that came and was not acted on is sent again at the end, to the handlers from before; after one that was acted
    on the process is ending, and further ones are ignored.
    """
    stop = Stop()
    before = {number: signal.signal(number, stop.note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    except BaseException:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if stop.came else handler)
        raise
    for number, handler in before.items():
        signal.signal(number, handler)
    if stop.came:
        signal.raise_signal(stop.came)


@contextmanager
def pool() -> Iterator[Executor]:
    """Worker processes that end with this one; `ROADSEG_WORKERS` of them, else one a core.

    Where `ROADSEG_DASK` names a scheduler, the workers of that Dask cluster instead.
    """
    if address := os.environ.get("ROADSEG_DASK"):
        from roadseg.contracts.cluster import cluster  # late: Dask loads in a second, and few use it

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


def stream(
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


def give_freed_memory_back() -> None:
    """Hand what this process has freed to the kernel, as malloc alone often does not.

    Source: malloc_trim(3); only glibc has it.
    """
    trim: Any = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def keep_freed_memory() -> None:
    """Let malloc keep what pictures free, up to 64 MiB.

    By default it maps each block of over 128 KiB anew and the kernel clears every page: a third of the time of
    decoding a picture of 320x227.

    Source: mallopt(3); only glibc has it.
    """
    mallopt: Any = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, 32 << 20)  # the largest it takes
        mallopt(M_TRIM_THRESHOLD, 64 << 20)
