"""What an inbox's looks remember, in home: how deliveries stood, and what became of each by its content."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field

from roadseg.contracts.errors import Busy
from roadseg.contracts.files import digest_of, home, read_json, write_json


class Seen(BaseModel):
    """How a delivery stood: since when, and the digest of its content where it was read."""

    stand: str
    since: float
    digest: str = ""


class Fate(BaseModel):
    """What became of a content.

    Attributes:
        name: of the delivery that brought it.
        when: the day and the minute, UTC.
        drives: those that were taken.
        refused: reasons by drive, or by the delivery's name where all of it was refused.
        waits: what is missing, by drive; while there is any, later deliveries may complete it.
        since: seconds since the epoch; when it was first read.
    """

    model_config = ConfigDict(extra="ignore")

    name: str
    when: str
    since: float
    drives: list[str] = Field(default_factory=list)
    refused: dict[str, list[str]] = Field(default_factory=dict)
    waits: dict[str, str] = Field(default_factory=dict)

    @property
    def state(self) -> Literal["taken", "refused", "waits"]:
        """In one word; refused where any drive was."""
        return "waits" if self.waits else "refused" if self.refused else "taken"


class Memory:
    """The state of the looks that feed one tree or branch; `looking` makes one."""

    def __init__(self, path: Path) -> None:
        """Read what is there."""
        self.path = path
        content = read_json(path, "inbox", f"rm {path}") if path.exists() else {}
        self.seen = {name: Seen(**entry) for name, entry in content.get("seen", {}).items()}
        self.fates = {digest: Fate(**entry) for digest, entry in content.get("fates", {}).items()}
        self.pending = {digest: Fate(**entry) for digest, entry in content.get("pending", {}).items()}
        self.unsaid: list[str] = content.get("unsaid", [])

    def save(self) -> None:
        """Write it, whole or not at all."""
        content: dict[str, Any] = {
            name: {key: entry.model_dump() for key, entry in getattr(self, name).items()}
            for name in ("seen", "fates", "pending")
        }
        write_json(self.path, "inbox", content | {"unsaid": self.unsaid})

    def observe(self, stands: Mapping[str, str], now: float) -> None:
        """Note how deliveries stand; what is gone is forgotten, and so is how it stood if it has changed."""
        before = self.seen
        self.seen = {
            name: known
            if (known := before.get(name)) and known.stand == stand and known.since <= now  # the clock may go back
            else Seen(stand=stand, since=now)
            for name, stand in stands.items()
        }

    def since(self, path: str) -> float:
        """When the delivery was first seen as it stands now, seconds since the epoch."""
        return self.seen[path].since

    def is_new(self, path: str) -> bool:
        """Whether nobody knows yet what it holds."""
        return self.seen[path].digest not in self.fates

    def fate(self, path: str) -> Fate | None:
        """What became of what it holds, if that is known."""
        return self.fates.get(self.seen[path].digest)

    def begin(self, fates: Mapping[str, Fate]) -> None:
        """Note what is about to be taken, so that a kill between the data and `confirm` loses no word of it."""
        self.unsaid = sorted({*self.unsaid, *(drive for fate in fates.values() for drive in fate.drives)})
        self.pending = dict(fates)
        self.save()

    def confirm(self, fates: Mapping[str, Fate]) -> None:
        """The data are where they belong and others were told: from here on deliveries of this content are known."""
        self.fates |= fates
        self.pending, self.unsaid = {}, []
        self.save()


@contextmanager
def looking(state: str) -> Iterator[Memory]:
    """Be the only look of this home.

    Args:
        state: names what the looks feed, see `of_tree` and `of_branch`.

    Raises:
        Busy: another look is at work.
    """
    folder = home() / "inbox"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            yield Memory(folder / f"{state}.json")
    except Timeout:
        raise Busy(f"another look at an inbox is at work ({folder / 'lock'}): wait for it") from None


def of_tree(tree: Path) -> str:
    """The state of the looks that feed a person's own tree."""
    return f"tree-{digest_of(str(tree.resolve()))[:12]}"


def of_branch(repository: Path) -> str:
    """The state of the looks that feed the data branch of a checkout; several may share a home."""
    return f"branch-{digest_of(str(repository.resolve()))[:12]}"


def minute(moment: float | None = None) -> str:
    """A moment for people, UTC."""
    return datetime.fromtimestamp(time.time() if moment is None else moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
