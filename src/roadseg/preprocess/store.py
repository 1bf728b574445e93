"""Encoded drives that outlive a checkout: home's `reuse/shards/<key>/`, found by content and recipe.

An entry is trusted while size, time and inode of its files are those it was written with; else its digests are
computed again, and what does not fit is dropped and made anew.

Checkouts share its bytes: by reflink where the file system can, else by a hard link to a file that is read-only, as DVC
links its own cache. Whoever edits one all the same changes its time, so that home and DVC find the damage.
"""

import errno
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import as_json, digest_file, failpoint, read_json, sync_disk, sync_folder
from roadseg.preprocess.encode import FILES, Encoded

ENTRY = Path("entry.json")
KEPT_DAYS = 30
FAILPOINTS = (
    *("entry:write", "entry:written", "keep:sync", "keep:rename", "keep:renamed", "keep:done"),
    *("place:share", "place:shared"),
)
FICLONE = 0x40049409  # ioctl_ficlone(2): the copy shares blocks until one side changes
CANNOT_SHARE = {  # of ioctl_ficlone(2) and link(2): another disk, a file system without it, too many links
    *(errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.ENOSYS),
    *(errno.EPERM, errno.EMLINK),
}


@dataclass(frozen=True)
class Store:
    """The folder of all entries.

    Attributes:
        folder: where it is.
        ways: to put a file elsewhere, the best first; those found not to work here are dropped.
    """

    folder: Path
    ways: list[Callable[[Path, Path], None]] = field(default_factory=lambda: [reflink, _hard_link, _copy])

    def find(self, key: str) -> Encoded | None:
        """The entry of this key if it is whole; a damaged one is dropped."""
        entry = self.folder / key
        try:
            content = read_json(entry / ENTRY, "shard", "dvc repro preprocess")
            encoded = Encoded(content["digests"], content["pixels"])
            if content["identities"] != _identities(entry, encoded):  # moved with its home, or touched
                if any(digest_file(entry / FILES[kind]) != known for kind, known in encoded.digests.items()):
                    raise ValueError("other bytes than were written")
                write_entry(entry, encoded)
        except (UsageError, OSError, KeyError, ValueError):
            shutil.rmtree(entry, ignore_errors=True)
            return None
        return encoded

    def get(self, key: str) -> Encoded:
        """The entry of this key, which was kept a moment ago.

        Raises:
            UsageError: it is gone or damaged.
        """
        if encoded := self.find(key):
            return encoded
        raise UsageError(f"{self.folder / key} was removed or damaged while it was used: run the same command again")

    @contextmanager
    def begin(self) -> Iterator[Path]:
        """A temporary folder for one run's drives, beside the entries; it goes with all that was not kept."""
        folder = self.folder / f".{uuid.uuid4().hex}.tmp"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, made: list[tuple[Path, str]]) -> None:
        """Make finished temporary folders, each `described`, the entries of their keys: on disk first, then renamed."""
        failpoint("keep:sync")
        sync_disk(self.folder)
        for folder, key in made:
            failpoint("keep:rename")
            try:
                folder.rename(self.folder / key)
                failpoint("keep:renamed")
            except OSError:
                if not (self.folder / key).is_dir():
                    raise
                shutil.rmtree(folder)  # another run was first, with the same bytes
        sync_folder(self.folder)
        failpoint("keep:done")

    def place(self, key: str, targets: dict[str, Path]) -> None:
        """Put the files of an entry where a checkout wants them: targets by kind, which must not exist."""
        entry = self.folder / key
        for kind, target in targets.items():
            failpoint("place:share")
            self._share(entry / FILES[kind], target)
        failpoint("place:shared")

    def _share(self, source: Path, target: Path) -> None:
        *sooner, last = self.ways
        for way in sooner:
            try:
                return way(source, target)
            except OSError as error:
                if error.errno not in CANNOT_SHARE:
                    raise
                self.ways.remove(way)
        return last(source, target)

    def sweep(self, used: set[str]) -> None:
        """Mark the entries used now; drop what no run has used for `KEPT_DAYS`, half-made folders too."""
        oldest = time.time() - KEPT_DAYS * 24 * 3600
        for entry in os.scandir(self.folder) if self.folder.is_dir() else ():
            if entry.name in used:
                os.utime(entry.path)
            elif entry.stat().st_mtime < oldest:
                shutil.rmtree(entry.path, ignore_errors=True) if entry.is_dir() else Path(entry.path).unlink()


def write_entry(entry: Path, encoded: Encoded) -> None:
    """Write beside the files of one drive what they are; half a description is found damaged, so none is synced."""
    for kind in encoded.digests:
        (entry / FILES[kind]).chmod(0o444)
    content = asdict(encoded) | {"identities": _identities(entry, encoded)}
    failpoint("entry:write")
    (entry / ENTRY).write_text(as_json("shard", content), encoding="utf-8")
    failpoint("entry:written")


def reflink(source: Path, target: Path) -> None:
    """Make a copy that shares blocks until one side changes; `target` must not exist.

    Raises:
        OSError: the file systems cannot; then there is no `target`.
    """
    with source.open("rb") as read, target.open("xb") as written:
        try:
            fcntl.ioctl(written.fileno(), FICLONE, read.fileno())
        except OSError:
            target.unlink()
            raise


def _hard_link(source: Path, target: Path) -> None:
    target.hardlink_to(source)


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _identities(entry: Path, encoded: Encoded) -> dict[str, list[int]]:
    found = {kind: (entry / FILES[kind]).stat() for kind in encoded.digests}
    return {kind: [stat.st_size, stat.st_mtime_ns, stat.st_ino] for kind, stat in found.items()}  # ctime: of each link
