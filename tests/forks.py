"""Moves of the champion in processes of their own, as on several machines."""

import os
from collections.abc import Callable

from roadseg.registry.alias import Moved

MOVED = 7  # how a process ends whose move another one's went before


def forked(work: Callable[[], object], **environment: str) -> int:
    """Do work in a process with other variables; its number."""
    if (child := os.fork()) == 0:
        os.environ |= environment
        try:
            work()
        except Moved:
            os._exit(MOVED)
        except BaseException:
            os._exit(1)
        os._exit(0)
    return child


def ends(children: list[int]) -> list[int]:
    """Exit codes, sorted, when all have ended."""
    return sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
