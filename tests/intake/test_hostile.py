"""Archives made to do harm, or broken on the way: each is refused in one line, and nothing is left behind."""

import io
import shutil
import struct
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from roadseg.contracts.errors import DataRefused
from roadseg.intake.archive import unpack

from .conftest import contents

NOISE = np.random.default_rng(0).bytes(5_000)
LINKED = {"symlink": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE}
DEVICES = {"pipe": tarfile.FIFOTYPE, "terminal": tarfile.CHRTYPE, "disk": tarfile.BLKTYPE}


def member(name: str, **settings: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in settings.items():
        setattr(info, key, value)
    return info


def tar(path: Path, *members: str | tarfile.TarInfo) -> Path:
    with tarfile.open(path / "data.tar", "w", format=tarfile.PAX_FORMAT) as opened:
        for one in members:
            opened.addfile(one if isinstance(one, tarfile.TarInfo) else tarfile.TarInfo(one), io.BytesIO(b""))
    return path / "data.tar"


def zipped(path: Path, *names: str, content: bytes = b"1", method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path / "data.zip", "w", method) as opened:
        for name in names:
            opened.writestr(name, content)
    return path / "data.zip"


def cut(source: Path, size: int) -> Path:
    source.write_bytes(source.read_bytes()[:size])
    return source


def patched(source: Path, *changes: tuple[bytes, int, bytes]) -> Path:
    """Overwrite bytes at an offset from where a mark is found."""
    content = bytearray(source.read_bytes())
    for mark, offset, new in changes:
        place = content.find(mark) + offset
        content[place : place + len(new)] = new
    source.write_bytes(content)
    return source


def declared(source: Path, size: int) -> Path:
    """Let a zip say of its one member that it is of another size, in both of its headers."""
    return patched(source, (b"PK\x03\x04", 22, struct.pack("<I", size)), (b"PK\x01\x02", 24, struct.pack("<I", size)))


def raw_tar(path: Path, name: bytes, *changes: tuple[int, bytes]) -> Path:
    """A tar in the oldest format, whose names are bytes, with one header changed at offsets."""
    header = bytearray(tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT))
    for place, new in ((0, name), *changes):
        header[place : place + len(new)] = new
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (path / "data.tar").write_bytes(bytes(header) + b"\0" * 1024)
    return path / "data.tar"


DECOMPOSED = unicodedata.normalize("NFD", "é")
OUTSIDE = ["../out", "a/../../out", "/etc/out", "//out", "..", "C:/out", "c:out", "a\\..\\out", "\\\\server\\out"]
HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    **{f"tar with {name}": (lambda path, name=name: tar(path, "a", name), "points outside") for name in OUTSIDE},
    **{f"zip with {name}": (lambda path, name=name: zipped(path, "a", name), "points outside") for name in OUTSIDE},
    **{
        f"{kind} to {target}": (
            lambda path, entry=entry, target=target: tar(path, "a", member("odd", type=entry, linkname=target)),
            "'odd' is a link or a device",
        )
        for kind, entry in LINKED.items()
        for target in ("/etc/passwd", "../../out", "a")
    },
    **{
        kind: (lambda path, entry=entry: tar(path, member("odd", type=entry)), "'odd' is a link or a device")
        for kind, entry in DEVICES.items()
    },
    "a file through a linked folder": (
        lambda path: tar(path, member("in", type=tarfile.SYMTYPE, linkname="/tmp"), "in/out"),
        "'in' is a link or a device",
    ),
    "sparse in a tar": (
        lambda path: tar(path, member("odd", pax_headers={"GNU.sparse.map": "0,0", "GNU.sparse.size": "9" * 12})),
        "'odd' is a link or a device",
    ),
    "file twice": (lambda path: tar(path, "top/a", "top/a"), "'top/a' is there twice"),
    "file twice by another path": (lambda path: tar(path, "top/a", "top/./a"), "is there twice"),
    "file twice in a zip": (lambda path: zipped(path, "a", "a"), "'a' is there twice"),
    "file twice in other letters": (lambda path: zipped(path, "a.png", "A.PNG"), "'A.PNG' is there twice"),
    "file twice in other accents": (lambda path: zipped(path, "é", DECOMPOSED), "is there twice"),
    "folder in other letters": (lambda path: tar(path, "top/a", "TOP/b"), "has the folder 'top' in other letters"),
    "folder and file": (lambda path: tar(path, "top/a", "top/a/b"), "makes 'top/a' a file and a folder"),
    "file and folder": (lambda path: tar(path, "top/a/b", "top/a"), "makes 'top/a' a file and a folder"),
    "folder and file in other letters": (lambda path: zipped(path, "a/b", "A"), "makes 'A' a file and a folder"),
    "file without a name": (lambda path: zipped(path, "a", "."), "is a file without a name"),
    "long name": (lambda path: tar(path, "a" * 256), "has a name longer than 255 bytes"),
    "long name in other letters than bytes": (lambda path: zipped(path, "é" * 130), "has a name longer than 255 bytes"),
    "long path": (lambda path: zipped(path, "a/" * 600 + "b"), "a path longer than 1000"),
    "no UTF-8": (lambda path: raw_tar(path, b"caf\xe9"), r"'caf\udce9' has a name that is not text in UTF-8"),
    "line break in a name": (lambda path: tar(path, "a\nb"), r"'a\nb' has a name that is not text"),
    "terminal codes in a name": (lambda path: zipped(path, "a\x1b[2Jb"), "has a name that is not text"),
    "bomb that declares its size": (
        lambda path: raw_tar(path, b"a", (124, b"7" * 11)),  # 8 GiB; the limit on the disk is tested beside
        "is broken (",
    ),
    "tar with a damaged header": (
        lambda path: patched(tar(path, "a", "odd"), (b"odd", 0, b"x")),
        "is broken (the header of a member is damaged: bad checksum)",
    ),
    "bomb that declares its size in a zip": (lambda path: declared(zipped(path, "a"), 0xFFFFFFF0), "is broken ("),
    "bomb that declares less": (
        lambda path: declared(zipped(path, "a", content=b"0" * 10**7, method=zipfile.ZIP_DEFLATED), 10),
        "is broken (",
    ),
    "zip that declares more": (lambda path: declared(zipped(path, "a", content=NOISE), 9_999), "is broken ("),
    "zip with a wrong checksum": (
        lambda path: patched(zipped(path, "a"), (b"PK\x01\x02", 16, b"\0\0\0\0")),
        "is broken (Bad CRC-32 for file 'a')",
    ),
    "zip with a name that lies about UTF-8": (
        lambda path: patched(zipped(path, "\u00e9"), (b"\xc3\xa9", 0, b"\xff\xff"), (b"\xc3\xa9", 0, b"\xff\xff")),
        "is broken (",
    ),
    "zip whose headers disagree": (lambda path: patched(zipped(path, "ab"), (b"PK\x03\x04", 30, b"x")), "is broken ("),
    **{
        f"tar cut at {size}": (lambda path, size=size: cut(tar(path, "a", "b", "c"), size), "is broken (")
        for size in (1, 511, 512, 513, 1024, 1300)
    },
    **{
        f"zip cut at {share}": (
            lambda path, share=share: cut(zipped(path, *"abc", content=NOISE), int(15_000 * share)),
            "is broken (",
        )
        for share in (0, 0.001, 0.3, 0.7, 1)
    },
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_in_one_line_and_leaves_nothing_behind(tmp_path: Path, kind: str) -> None:
    make, said = HOSTILE[kind]
    source = make(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(DataRefused) as caught:
        unpack(source, tmp_path / "into/target")
    message = str(caught.value)
    assert message.startswith(f"{source}: ") or message.startswith(f"{source} is broken (")
    assert said in message
    assert "nothing was imported" in message
    assert "\n" not in message
    message.encode()  # it can be printed
    assert not (tmp_path / "into/target").exists()
    assert contents(tmp_path) == before
    assert not Path("/etc/out").exists()


def test_a_bomb_is_refused_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=(1 << 30) + 10**6))
    source = zipped(tmp_path, *map(str, range(11)), content=b"0" * 10**5, method=zipfile.ZIP_DEFLATED)
    with pytest.raises(DataRefused, match="unpacked it is larger than the free disk; nothing was imported"):
        unpack(source, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_member_that_grows_while_it_is_read_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            asked.append(size)
            return b"0" * size

    source = zipped(tmp_path, "a", content=b"123")
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: Endless())
    with pytest.raises(DataRefused, match="member 'a' is not of the size that it declares"):
        unpack(source, tmp_path / "target")
    assert sum(asked) == 4
