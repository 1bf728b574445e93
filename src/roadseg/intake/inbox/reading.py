"""Which deliveries have to be read, and reading them: each is unpacked in home and known by its content."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.files import digest_file, home
from roadseg.intake.inbox.deliveries import Delivery, at_rest, seen
from roadseg.intake.inbox.memory import Memory
from roadseg.intake.inbox.options import DAY, Inbox
from roadseg.intake.inbox.placing import digest_of_content, stage


@dataclass
class Read:
    """A delivery that was unpacked: its folder, the digest of its content, and reasons to refuse all of it."""

    delivery: Delivery
    folder: Path
    digest: str = ""
    reasons: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What people call it."""
        return self.delivery.name


def news(inbox: Inbox, memory: Memory) -> tuple[list[Delivery], list[str]]:
    """Wait until deliveries rest; those that have to be read, and sentences on all others.

    A delivery that waits for its other half is read again with whatever is new, or when it has waited too long.
    """
    found, notes = at_rest(inbox, memory)
    memory.save()
    fresh, waiting = [], []
    for one in found:
        fate = memory.fate(str(one.path))
        if fate is None or (inbox.again and fate.refused):
            fresh.append(one)
        elif fate.waits:
            waiting.append(one)
            if time.time() - fate.since >= inbox.days * DAY:
                fresh.append(one)
    if fresh:
        fresh += [one for one in waiting if one not in fresh]
    else:
        notes += [f"{one.name} waits: {_missing(memory, one)}" for one in waiting]
    return fresh, notes


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder in home that is empty, also after a kill, and gone afterwards; one look works at a time."""
    folder = home() / "inbox/scratch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_all(fresh: list[Delivery], memory: Memory, folder: Path, *, again: bool) -> tuple[list[Read], list[str]]:
    """Unpack deliveries, the newest first, so that of two versions of a file the later is judged.

    Args:
        fresh: the deliveries, see `news`.
        memory: what became of earlier ones.
        folder: an empty one.
        again: whether what was refused before is to be judged once more.

    Returns:
        Those whose content is new, and sentences on the others.
    """
    read, notes = dict[str, Read](), list[str]()
    for number, delivery in enumerate(sorted(fresh, key=lambda one: (-memory.since(str(one.path)), one.name))):
        one = Read(delivery, folder / f"delivery-{number}")
        try:
            stage(delivery.path, one.folder)
            one.digest = digest_of_content(one.folder)
        except (DataRefused, UsageError) as error:
            archive = delivery.path.is_file()
            one.digest = digest_file(delivery.path) if archive else delivery.stand
            one.reasons = [str(error).removesuffix("; nothing was imported").replace(f"{delivery.path}", delivery.name)]
        if seen(delivery.path) != delivery:
            notes.append(f"{delivery.name} has changed while it was read: the next look takes it")
            continue
        memory.seen[str(delivery.path)].digest = one.digest
        fate = memory.fates.get(one.digest)
        if fate and not fate.waits and not (again and fate.refused):
            notes.append(f"{delivery.name} holds what {fate.name} held, {fate.state} {fate.when}")
        elif first := read.get(one.digest):
            notes.append(f"{delivery.name} holds what {first.name} holds")
        else:
            read[one.digest] = one
    return list(read.values()), notes


def _missing(memory: Memory, one: Delivery) -> str:
    fate = memory.fate(str(one.path))
    return "; ".join(f"{drive}: {said}" for drive, said in sorted(fate.waits.items())) if fate else ""
