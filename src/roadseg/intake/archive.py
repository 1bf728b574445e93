"""Unpack archives from strangers: nothing leaves the target, nothing but plain files, no more than fits."""

import errno
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from roadseg.contracts.errors import DataRefused, RoadsegError, UsageError
from roadseg.contracts.files import failpoint
from roadseg.intake.names import Names, name_fault, points_outside
from roadseg.intake.tars import PIECE, Header, Hostile, entries
from roadseg.scan.layouts.words import said
from roadseg.scan.not_data import is_data

KEEP_FREE = 1 << 30  # bytes of disk that an import leaves
# RuntimeError: zipfile's word for a password or a method that it lacks
BROKEN = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, OSError, RuntimeError, ValueError)
OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO}
TAR_NAMES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


@dataclass(frozen=True)
class Member:
    """One entry of an archive; `open` is None for a folder."""

    name: str
    size: int
    open: Callable[[], IO[bytes]] | None
    plain: bool


def unpack(source: Path, target: Path) -> Path:
    """Unpack an archive, or copy a folder, into `target`, which must not exist.

    Args:
        source: `.zip`, `.tar`, `.tar.gz`, `.tgz`, `.tar.bz2`, `.tar.xz`, or a folder.
        target: made here, and removed again on any error.

    Returns:
        The folder that holds the data: `target`, or its only entry where that is a folder and names no split.

    Raises:
        UsageError: no such file, or a kind that is not known.
        DataRefused: the archive is broken or hostile; names the member.
    """
    target.mkdir(parents=True)
    try:
        with _members(source) as members:
            _write(source, members, target)
    except BROKEN as error:
        shutil.rmtree(target)
        if isinstance(error, OSError) and error.errno in OF_THE_DISK:
            raise RoadsegError(
                f"{target.parent} cannot be written to ({error.strerror}); nothing was imported"
            ) from None
        reason = str(error).partition("\n")[0].rstrip(":")  # tarfile lists on further lines what it tried
        raise DataRefused(f"{source} is broken ({reason}): get it again; nothing was imported") from None
    except Hostile as error:
        shutil.rmtree(target)
        raise DataRefused(f"{source}: {error}; nothing was imported") from None
    except BaseException:
        shutil.rmtree(target)
        raise
    entries = list(target.iterdir())
    if len(entries) != 1 or not entries[0].is_dir():
        return target
    told = said(entries[0].name)  # a set called my-test-data is no split, one called train is
    return target if told.split and not told.rest else entries[0]


def _write(source: Path, members: Iterator[Member], target: Path) -> None:
    room, names = shutil.disk_usage(target).free - KEEP_FREE, Names()
    for member in members:
        unwanted = not points_outside(member.name) and not is_data(member.name)  # it would keep the one top folder
        if not unwanted and (fault := _fault(member) or names.fault(member.name, is_folder=member.open is None)):
            raise DataRefused(f"{source}: member {member.name!r} {fault}; nothing was imported")
        room -= member.size  # also of what is unwanted, since a tar is read over it
        if room < 0:
            raise DataRefused(f"{source}: unpacked it is larger than the free disk; nothing was imported")
        if unwanted:
            continue
        path = target / PurePosixPath(member.name)
        if member.open is None:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        failpoint("member:write")
        with member.open() as read, path.open("xb") as written:
            failpoint("member:opened")
            if _copy(read, written, member.size) != member.size:
                raise EOFError(f"member {member.name!r} is not of the size that it declares")
        failpoint("member:written")


def _copy(read: IO[bytes], written: IO[bytes], size: int) -> int:
    """Copy up to one byte more than `size`, so that a member that lies about its size fills no disk."""
    copied = 0
    while copied <= size and (piece := read.read(min(PIECE, size + 1 - copied))):
        copied += written.write(piece)
    return copied


def _fault(member: Member) -> str | None:
    return name_fault(member.name) or (None if member.plain else "is a link or a device")


@contextmanager
def _members(source: Path) -> Iterator[Iterator[Member]]:
    if source.is_dir():
        yield _of_folder(source)
    elif not source.exists():
        raise UsageError(f"{source}: no such file or folder")
    elif (kind := _kind(source)) == "zip":
        with zipfile.ZipFile(source) as opened:
            yield _of_zip(opened)
    elif kind == "tar":
        with tarfile.open(source, tarinfo=Header) as tar:
            yield _of_tar(tar)
    else:
        raise UsageError(f"{source}: not a folder, a .zip, or a .tar, also as .tar.gz, .tgz, .tar.bz2 or .tar.xz")


def _kind(source: Path) -> str | None:
    """`zip`, `tar` or None, by how a file starts, else by its name; the end may be that of a zip inside a tar."""
    with source.open("rb") as opened:
        start = opened.read(tarfile.BLOCKSIZE)
    if start.startswith((b"PK\3\4", b"PK\5\6")):
        return "zip"
    if start[257:262] == b"ustar" or source.name.lower().endswith(TAR_NAMES):
        return "tar"
    return "zip" if source.suffix.lower() == ".zip" else None


def _of_tar(tar: tarfile.TarFile) -> Iterator[Member]:
    for info in entries(tar):

        def read(info: tarfile.TarInfo = info) -> IO[bytes]:
            opened = tar.extractfile(info)
            assert opened is not None  # it is a plain file
            return opened

        plain = info.isdir() or (info.isreg() and not info.issparse())  # a sparse file is larger than what is read
        yield Member(info.name, info.size, read if info.isreg() else None, plain)


def _of_zip(opened: zipfile.ZipFile) -> Iterator[Member]:
    for info in opened.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        plain = kind in {0, stat.S_IFREG, stat.S_IFDIR}

        def read(info: zipfile.ZipInfo = info) -> IO[bytes]:
            return opened.open(info)

        spelled = info.filename.replace("\\", "/")  # Windows' own packer writes backslashes
        name = info.filename if points_outside(spelled) else spelled
        yield Member(name, info.file_size, None if name.endswith("/") else read, plain)


def _of_folder(folder: Path) -> Iterator[Member]:
    for path in sorted(folder.rglob("*")):
        plain = not path.is_symlink() and (path.is_file() or path.is_dir())
        name = path.relative_to(folder).as_posix()

        def read(path: Path = path) -> IO[bytes]:
            return path.open("rb")

        yield Member(name, path.lstat().st_size, None if path.is_dir() else read, plain)
