"""Tars from strangers: what tarfile by itself takes for the end, or keeps in memory whole, is refused."""

import tarfile
from collections.abc import Iterator
from typing import Self

# bytes of names and attributes, of one member or of all: as many as Linux gives one attribute; the tarfile of 3.11.7
MAX_HEADERS = 1 << 16  # searches them in a time that grows with their square, ten seconds for so many digits
MAX_AFTER_END = 16 << 20  # bytes; honest is the rest of a record, which tapes have of some MiB
PIECE = 1 << 20  # bytes read or copied at once
NAMES_AND_ATTRIBUTES = {
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
}


class Hostile(Exception):
    """What a tar does that an honest one does not, in words that follow the archive's name."""


class Header(tarfile.TarInfo):
    """A header that must be whole and small.

    By itself tarfile takes a cut or damaged one for the end, and reads names, attributes and the map of a sparse file
    into memory, however many they are.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Parse one block.

        Raises:
            tarfile.ReadError: it is neither a header nor the end mark.
            Hostile: tarfile would next read more than fits.
        """
        if len(buf) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it ends before its end mark")
        if not any(buf):
            return super().frombuf(buf, encoding, errors)  # the end mark, which tarfile knows
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"the header of a member is damaged: {error}") from None
        _check_size(info)
        if info.type in NAMES_AND_ATTRIBUTES:
            _check_headers(info.size)
        if info.type == tarfile.GNUTYPE_SPARSE:
            raise _sparse(info)
        return info

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        """Parse what describes the next member, of which there may be several headers.

        Raises:
            Hostile: they are more than fit, or the member is smaller than nothing.
        """
        assert tar.fileobj is not None  # it is open
        _check_headers(tar.fileobj.tell() - tar.offset)  # those before this one; tarfile comes here for each
        info = super().fromtarfile(tar)
        _check_size(info)  # an attribute may have changed it
        return info

    def _proc_gnusparse_10(self, info: tarfile.TarInfo, *_: object) -> None:
        raise _sparse(info)  # in place of reading its map


def entries(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Walk a tar, opened with `Header`, to the end of its file.

    Raises:
        tarfile.ReadError, Hostile: see `Header`; or too much follows the end mark.
    """
    while (info := tar.next()) is not None:
        tar.members.clear()  # type: ignore[attr-defined] # typeshed lacks it; attributes of all members would stay in it
        _check_headers(sum(len(key) + len(value) for key, value in (tar.pax_headers or {}).items()))  # of all members
        yield info
    assert tar.fileobj is not None  # it is open
    left = MAX_AFTER_END
    while piece := tar.fileobj.read(PIECE):  # tarfile stops before the checksum that ends a compressed file
        left -= len(piece)
        if left < 0:
            raise Hostile(f"over {MAX_AFTER_END} bytes follow its end mark: pack the data as one tar")


def _check_size(info: tarfile.TarInfo) -> None:
    if info.size < 0:  # tarfile would read to the end, or step back and never end
        raise Hostile(f"member {info.name!r} declares {info.size} bytes")


def _check_headers(size: int) -> None:
    if size > MAX_HEADERS:
        raise Hostile(
            f"{size} bytes of names and attributes, over {MAX_HEADERS}: pack the data without extended attributes"
        )


def _sparse(info: tarfile.TarInfo) -> Hostile:
    return Hostile(f"member {info.name!r} is a sparse file: pack the data without them")
