"""A process that works for another ends with it, also after `kill -9`, and at signals where its state is whole."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from roadseg.contracts.errors import Interrupted

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
