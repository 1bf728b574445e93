"""What lies in an inbox, and whether it has come to rest."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import digest_of
from roadseg.intake.inbox.bucket import mirror
from roadseg.intake.inbox.memory import Memory
from roadseg.intake.inbox.options import Inbox
from roadseg.intake.records import ENDINGS
from roadseg.scan.not_data import is_data

# Names that browsers, copying tools and rsync give to what has not arrived whole
ARRIVING = ("*.part", "*.tmp", "*.crdownload", "*.filepart", "*.partial", "*.download", ".*.??????")
SHORTEST = 0.05  # seconds between two looks


@dataclass(frozen=True)
class Delivery:
    """One archive or folder of an inbox.

    Attributes:
        path: where it is.
        stand: digest of the names, sizes and times of its files: it changes as long as something is written.
        problem: why it cannot be read yet, in words; empty where it can.
    """

    path: Path
    stand: str
    problem: str = ""

    @property
    def name(self) -> str:
        """What people call it."""
        return self.path.name


def deliveries(inbox: Inbox) -> tuple[list[Delivery], list[str]]:
    """Look at an inbox; of a bucket what is new there is fetched first.

    Returns:
        Its archives and folders by name, and what else lies there, as sentences.

    Raises:
        UsageError: there is no such folder or bucket.
        RoadsegError: a bucket cannot be read.
    """
    found, passed_over = [], mirror(inbox) if inbox.in_bucket else []
    folder = inbox.path
    if not folder.is_dir():
        raise UsageError(f"inbox {folder}: no such folder; make it, or name another")
    own = {inbox.refused.resolve(), inbox.taken.resolve()}
    for path in sorted(folder.iterdir()):
        if path.resolve() in own or not (is_data(path.name) or arriving(path.name)):
            continue
        if path.is_symlink():
            passed_over.append(f"{path.name} is a link and is left alone: deliver the files themselves")
        elif path.is_dir() or (path.is_file() and path.name.lower().endswith(ENDINGS)):
            found.append(seen(path))
        elif arriving(path.name):
            passed_over.append(f"{path.name} has not arrived whole")
        else:
            passed_over.append(f"{path.name} is left alone: it is neither a folder nor one of {', '.join(ENDINGS)}")
    return found, passed_over


def seen(path: Path) -> Delivery:
    """A delivery as it stands now; files that vanish meanwhile count as a change."""
    inner = sorted(path.rglob("*")) if path.is_dir() else []
    stand: list[list[str | int]] = []
    problem = "is empty" if path.is_dir() and all(each.is_dir() for each in inner) else ""
    for file in [path, *inner]:
        name = file.relative_to(path.parent).as_posix()
        try:
            facts = file.lstat()
        except FileNotFoundError:
            stand.append([name, "gone"])
            continue
        if not file.is_dir():  # a folder's own time changes with each file
            stand.append([name, facts.st_size, facts.st_mtime_ns])
        if arriving(file.name):
            problem = f"is not whole: {name} is still being written"
        elif not file.is_symlink() and not os.access(file, os.R_OK):
            problem = problem or f"cannot be read: {name} belongs to somebody else"
    return Delivery(path, digest_of(stand), problem)


def arriving(name: str) -> bool:
    """Whether a file's name says that it is still being written."""
    return any(fnmatchcase(name, pattern) for pattern in ARRIVING)


def at_rest(
    inbox: Inbox,
    memory: Memory,
    now: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[list[Delivery], list[str]]:
    """Wait until every delivery that is new stands still, at most `inbox.patience` seconds.

    Two looks are compared: a file's own time may be that of its original, and its clock another machine's.

    Args:
        inbox: the folder and how long to wait.
        memory: how deliveries stood in earlier looks; what is seen now is noted there.
        now, sleep: the clock; seconds.

    Returns:
        The deliveries that can be read, and sentences on what is left alone or for the next look.
    """
    end = time.monotonic() + inbox.patience
    while True:
        found, notes = deliveries(inbox)
        memory.observe({str(one.path): one.stand for one in found}, now())
        moving = [one for one in found if now() - memory.since(str(one.path)) < inbox.quiet]
        if not any(memory.is_new(str(one.path)) for one in moving) or time.monotonic() >= end:
            break
        sleep(max(SHORTEST, min(1.0, inbox.quiet / 4)))
    notes += [f"{one.name} still changes: the next look takes it" for one in moving]
    still = [one for one in found if one not in moving]
    notes += [f"{one.name} {one.problem}: left for a later look" for one in still if one.problem]
    return [one for one in still if not one.problem], notes
