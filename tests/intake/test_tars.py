"""Tars made to fill the memory or to never end: each is refused while the memory stays small."""

import gzip
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from roadseg.contracts.errors import DataRefused
from roadseg.intake.archive import unpack

from .conftest import contents

END = bytes(1024)
MANY = 1 << 24  # bytes
HELD_MOST = 1 << 23  # bytes; reading a compressed tar holds half
NAMES_AND_ATTRIBUTES = {"x": b"x", "g": b"g", "Solaris's": b"X", "long name": b"L", "long link": b"K"}


def block(kind: bytes = tarfile.REGTYPE, size: int = 0, name: str = "a") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def attributes(kind: bytes, **values: str) -> bytes:
    """A header of attributes; each says its own length, which here has six digits."""
    body = b"".join(
        b"%06d %s=%s\n" % (len(key + value) + 9, key.encode(), value.encode()) for key, value in values.items()
    )
    return block(kind, len(body)) + padded(body)


def old_sparse() -> bytes:
    """A sparse file in GNU's old format, whose map goes on in block after block."""
    first = bytearray(block(b"S"))
    first[482] = 1
    first[148:156] = b" " * 8
    first[148:156] = b"%06o\0 " % sum(first)
    more = b"%011o\0" % 1 * 42 + b"\1" + bytes(7)
    return bytes(first) + more * (MANY // 512)


def new_sparse() -> bytes:
    body = b"99999999\n" + b"1\n" * (MANY // 2)
    headers = attributes(b"x", **{"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})
    return headers + block(size=len(body)) + padded(body)


def each(make: Callable[[int], bytes]) -> bytes:
    return b"".join(make(number) for number in range(MANY >> 15))


TOO_MUCH = "bytes of names and attributes, over 65536: pack the data without extended attributes"
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    **{
        f"one header: {name}": (lambda kind=kind: block(kind, MANY) + bytes(MANY), f"{MANY} {TOO_MUCH}")
        for name, kind in NAMES_AND_ATTRIBUTES.items()
    },
    **{
        f"a header of fewer bytes than none: {name}": (
            lambda kind=kind: block(kind, -512) + bytes(MANY),
            "member 'a' declares -512 bytes",
        )
        for name, kind in NAMES_AND_ATTRIBUTES.items()
    },
    "many headers of one member": (lambda: each(lambda _: attributes(b"x", comment="c" * 32_000)), TOO_MUCH),
    "many headers of all members": (
        lambda: each(lambda n: attributes(b"g", **{f"c{n}": "c" * 32_000}) + block(name=str(n))),
        TOO_MUCH,
    ),
    "the map of a sparse file": (old_sparse, "member 'a' is a sparse file: pack the data without them"),
    "the newer map of a sparse file": (new_sparse, "member 'a' is a sparse file: pack the data without them"),
    "a step back, for ever": (lambda: block(size=-512, name="__MACOSX/a"), "member '__MACOSX/a' declares -512 bytes"),
    "a step back by an attribute": (
        lambda: attributes(b"x", size="-2048") + block(name="__MACOSX/a"),
        "member '__MACOSX/a' declares -2048 bytes",
    ),
    "what is passed over is endless": (
        lambda: block(size=10**15, name="__MACOSX/a"),
        "unpacked it is larger than the free disk",
    ),
    "what follows the end mark is endless": (
        lambda: block() + bytes(1024 + (16 << 20)),
        "over 16777216 bytes follow its end mark: pack the data as one tar",
    ),
}


def packed(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content, 1))
    return path


@contextmanager
def small_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < HELD_MOST
    finally:
        tracemalloc.stop()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("after", [b"", block(name="first")], ids=["at the start", "behind a member"])
@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_of_headers_is_refused_in_small_memory(tmp_path: Path, kind: str, after: bytes) -> None:
    make, said = BOMBS[kind]
    source = packed(tmp_path / "data.tar.gz", after + make() + END)
    with small_memory(), pytest.raises(DataRefused) as caught:
        unpack(source, tmp_path / "target")
    assert str(caught.value).startswith(f"{source}: ")
    assert str(caught.value).endswith(f"{said}; nothing was imported")
    assert contents(tmp_path).keys() == {"data.tar.gz"}


def test_the_attributes_of_members_that_are_unpacked_are_not_held(tmp_path: Path) -> None:
    members = each(lambda n: attributes(b"x", comment=f"{n}" + "c" * 32_000) + block(name=f"{n}"))
    source = packed(tmp_path / "data.tar.gz", members + END)
    with small_memory():
        unpack(source, tmp_path / "target")
    assert len(contents(tmp_path / "target")) == MANY >> 15


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_attributes_and_the_padding_of_a_long_record_are_taken(tmp_path: Path, form: int) -> None:
    names = ["a" * 250 + f"/{number}" for number in range(3)]
    attribute = {"SCHILY.xattr.user.mine": "c" * 60_000}
    with tarfile.open(tmp_path / "plain.tar", "w", format=form, pax_headers={"comment": "git's"}) as opened:
        for name in names:
            info = tarfile.TarInfo(f"b/{name}")
            info.pax_headers = attribute
            opened.addfile(info)
    source = packed(tmp_path / "data.tar.gz", (tmp_path / "plain.tar").read_bytes() + bytes(8 << 20))
    assert sorted(contents(unpack(source, tmp_path / "target").parent)) == [f"b/{name}" for name in names]
