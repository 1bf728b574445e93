"""Facts of files that were seen before, in any checkout: kept in home, found by content and recipe."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadseg.contracts.files import failpoint

Facts = dict[str, Any]
FAILPOINTS = ("facts:commit", "facts:committed")
SETTLE_NS = 2_000_000_000  # a file that changed just now may change again within one tick of its clock


@dataclass(frozen=True)
class File:
    """A file to describe, as it was before it was read.

    Attributes:
        path: where it is.
        kind: what is to be found in it, and how: facts of one kind are not served for another.
        stat: device, inode, size and times.
        settled: whether equal `stat` means equal bytes.
        coding: of a label picture of IDD's, see `coding_of_sample`.
    """

    path: Path
    kind: str
    stat: str
    settled: bool
    coding: str | None = None

    @classmethod
    def at(cls, path: Path, kind: str, coding: str | None = None) -> "File":
        """Look at a file; one that is not there has no `stat`."""
        try:
            seen = path.stat()
        except OSError:
            return cls(path, kind, "", False, coding)
        stat = f"{seen.st_dev} {seen.st_ino} {seen.st_size} {seen.st_mtime_ns} {seen.st_ctime_ns}"
        return cls(path, kind, stat, time.time_ns() - seen.st_ctime_ns > SETTLE_NS, coding)


class Memory:
    """Size, times and inode of a file find its digest; digest and recipe find its facts."""

    def __init__(self, database: sqlite3.Connection, recipe: str) -> None:
        """Take an open database; `opened` makes one."""
        self._database, self._recipe = database, recipe
        self._digests: dict[str, str] = dict(database.execute("SELECT stat, digest FROM files"))
        facts = database.execute("SELECT digest, kind, facts FROM facts WHERE recipe = ?", (recipe,))
        self._facts: dict[tuple[str, str], str] = {(digest, kind): text for digest, kind, text in facts}
        self._files: list[tuple[str, str]] = []
        self._found: list[tuple[str, str, str, str]] = []

    def known(self, file: File) -> Facts | None:
        """The facts of a file that has not changed since it was read; None where it must be read."""
        return self.of(file, self._digests.get(file.stat, ""))

    def of(self, file: File, digest: str) -> Facts | None:
        """The facts of these bytes, in whatever file they were seen."""
        text = self._facts.get((digest, file.kind))
        return json.loads(text) if text else None

    def keep(self, file: File, digest: str, facts: Facts) -> None:
        """Remember what a file holds; `save` makes it last."""
        if file.settled:
            self._files.append((file.stat, digest))
        self._found.append((digest, file.kind, self._recipe, json.dumps(facts)))

    def save(self) -> None:
        """Make what was kept so far survive a kill; only now others must wait."""
        failpoint("facts:commit")
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?)", self._files)
            self._database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?)", self._found)
        self._files, self._found = [], []
        failpoint("facts:committed")


@contextmanager
def opened(path: Path, recipe: str) -> Iterator[Memory]:
    """Open the memory, anew where the file is damaged: all it can cost is time.

    Args:
        path: of the database.
        recipe: digest of the code that finds facts; facts of other code are not served.

    Raises:
        sqlite3.OperationalError: it cannot be opened or written, which is no damage.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        database = _connect(path)
        memory = Memory(database, recipe)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        print(f"{path} is damaged: it is made anew, and every file is read again")
        path.unlink()
        database = _connect(path)
        memory = Memory(database, recipe)
    with closing(database):
        yield memory
        memory.save()


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=60)
    database.execute("CREATE TABLE IF NOT EXISTS files (stat TEXT PRIMARY KEY, digest TEXT) WITHOUT ROWID")
    database.execute(
        "CREATE TABLE IF NOT EXISTS facts (digest TEXT, kind TEXT, recipe TEXT, facts TEXT, "
        "PRIMARY KEY (digest, kind, recipe)) WITHOUT ROWID"
    )
    if (found := database.execute("PRAGMA quick_check").fetchone()) != ("ok",):
        raise sqlite3.DatabaseError(found[0])
    return database
