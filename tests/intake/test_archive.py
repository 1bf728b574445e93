import io
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from roadseg.contracts.errors import DataRefused, RoadsegError, UsageError
from roadseg.intake.archive import unpack

NOISE = np.random.default_rng(0).bytes(20_000)
FILES = {"top/a/1.jpg": NOISE, "top/a/2.jpg": b"", "top/b.json": b"{}"}
UNPACKED = {name.removeprefix("top/"): content for name, content in FILES.items()}
TARS = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.xz": "w:xz", ".tar.bz2": "w:bz2"}


def tar(path: Path, members: list[tuple[str, bytes | tarfile.TarInfo]]) -> Path:
    """An archive of files, or of entries that are given whole."""
    with tarfile.open(path, TARS["." + path.name.partition(".")[2]]) as opened:
        for name, content in members:
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            opened.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return path


def zipped(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in members:
            opened.writestr(name, content)
    return path


def entry(name: str, kind: bytes, target: str = "") -> tuple[str, tarfile.TarInfo]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return name, info


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(source: Path, tmp_path: Path, kind: type[RoadsegError] = DataRefused) -> str:
    """What is said; nothing is left behind, inside the target or beside it."""
    before = contents(tmp_path)
    with pytest.raises(kind) as caught:
        unpack(source, tmp_path / "into" / "target")
    assert not (tmp_path / "into" / "target").exists()
    assert contents(tmp_path) == before
    assert str(source) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("ending", [*TARS, ".zip"])
def test_an_archive_is_unpacked_and_its_one_top_folder_is_stripped(tmp_path: Path, ending: str) -> None:
    write = zipped if ending == ".zip" else tar
    source = write(tmp_path / f"data{ending}", list(FILES.items()))
    assert contents(unpack(source, tmp_path / "target")) == UNPACKED


def test_a_folder_is_copied_and_its_one_top_folder_is_stripped(tmp_path: Path) -> None:
    zipfile.ZipFile(zipped(tmp_path / "data.zip", list(FILES.items()))).extractall(tmp_path / "source")
    assert contents(unpack(tmp_path / "source", tmp_path / "target")) == UNPACKED
    assert contents(tmp_path / "source") == FILES


def test_several_top_entries_are_kept_as_they_are(tmp_path: Path) -> None:
    files = {"leftImg8bit/1.jpg": b"1", "gtFine/1.png": b"2"}
    source = zipped(tmp_path / "data.zip", list(files.items()))
    assert contents(unpack(source, tmp_path / "target")) == files


@pytest.mark.parametrize("name", ["../out", "top/../../out", "/tmp/out", "top\\..\\..\\out", "..", "C:\\out"])
@pytest.mark.parametrize("ending", [".tar", ".zip"])
def test_a_member_that_points_outside_is_refused_by_name(tmp_path: Path, name: str, ending: str) -> None:
    write = zipped if ending == ".zip" else tar
    said = refusal(write(tmp_path / f"data{ending}", [("top/a", b"1"), (name, b"2")]), tmp_path)
    assert f"member {name!r} points outside; nothing was imported" in said


@pytest.mark.parametrize(
    ("kind", "target"),
    [(tarfile.SYMTYPE, "/etc/passwd"), (tarfile.SYMTYPE, "a"), (tarfile.LNKTYPE, "top/a"), (tarfile.FIFOTYPE, "")]
    + [(tarfile.CHRTYPE, ""), (tarfile.BLKTYPE, "")],
)
def test_a_link_or_a_device_is_refused_by_name(tmp_path: Path, kind: bytes, target: str) -> None:
    said = refusal(tar(tmp_path / "data.tar", [("top/a", b"1"), entry("top/odd", kind, target)]), tmp_path)
    assert "member 'top/odd' is a link or a device; nothing was imported" in said


def test_a_link_in_a_zip_is_refused_by_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as opened:
        info = zipfile.ZipInfo("top/odd")
        info.external_attr = 0o120777 << 16
        opened.writestr(info, "/etc/passwd")
    assert "member 'top/odd' is a link or a device" in refusal(tmp_path / "data.zip", tmp_path)


@pytest.mark.parametrize(
    "odd", [lambda path: path.symlink_to("/etc/passwd"), lambda path: path.symlink_to("/etc"), os.mkfifo]
)
def test_a_folder_with_a_link_or_a_pipe_is_refused_by_name(tmp_path: Path, odd: Callable[[Path], None]) -> None:
    (tmp_path / "source" / "a").mkdir(parents=True)
    odd(tmp_path / "source" / "a" / "odd")
    with pytest.raises(DataRefused, match="member 'a/odd' is a link or a device; nothing was imported"):
        unpack(tmp_path / "source", tmp_path / "target")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("second", ["top/a", "top/A", "./top/a", "top//a"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused_also_in_other_letters(tmp_path: Path, second: str) -> None:
    for write, ending in ((tar, ".tar"), (zipped, ".zip")):
        said = refusal(write(tmp_path / f"data{ending}", [("top/a", b"1"), (second, b"2")]), tmp_path)
        assert f"member {second!r} is there twice; nothing was imported" in said


@pytest.mark.parametrize("ending", [*TARS, ".zip"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_truncated_archive_is_refused_as_broken(tmp_path: Path, ending: str, share: float) -> None:
    members = [(f"top/{number}", NOISE) for number in range(4)]
    source = (zipped if ending == ".zip" else tar)(tmp_path / f"data{ending}", members)
    source.write_bytes(source.read_bytes()[: int(source.stat().st_size * share)])
    said = refusal(source, tmp_path)
    assert " is broken (" in said
    assert "get it again; nothing was imported" in said


def test_a_tar_that_ends_between_two_members_is_refused_as_broken(tmp_path: Path) -> None:
    source = tar(tmp_path / "data.tar", [("top/a", b"1" * 512), ("top/b", b"2")])
    source.write_bytes(source.read_bytes()[:1024])
    assert "is broken (it ends before its end mark)" in refusal(source, tmp_path)


@pytest.mark.parametrize("ending", [".tar.gz", ".tar.xz", ".tar.bz2", ".zip"])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_damaged_byte_is_found_by_the_archives_checksum(tmp_path: Path, ending: str, share: float) -> None:
    source = (zipped if ending == ".zip" else tar)(tmp_path / f"data{ending}", [("top/a", NOISE)])
    content = bytearray(source.read_bytes())
    content[int(len(content) * share)] ^= 1
    source.write_bytes(content)
    assert " is broken (" in refusal(source, tmp_path)


def test_an_archive_larger_than_the_free_disk_is_refused_before_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tar(tmp_path / "data.tar.gz", list(FILES.items()))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=(1 << 30) + 19_999))
    assert "unpacked it is larger than the free disk; nothing was imported" in refusal(source, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=(1 << 30) + 20_002))
    assert contents(unpack(source, tmp_path / "target")) == UNPACKED


def test_a_zip_with_a_password_is_refused_as_such(tmp_path: Path) -> None:
    content = bytearray(zipped(tmp_path / "data.zip", [("top/a", b"1")]).read_bytes())
    content[6] |= 1
    content[content.find(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "data.zip").write_bytes(content)
    assert "is encrypted" in refusal(tmp_path / "data.zip", tmp_path)


@pytest.mark.parametrize(("name", "kind"), [("a.tar.gz", DataRefused), ("a.zip", DataRefused), ("a.rar", UsageError)])
def test_what_is_no_archive_is_refused(tmp_path: Path, name: str, kind: type[RoadsegError]) -> None:
    (tmp_path / name).write_text("<html>not found</html>")
    assert "broken" in (said := refusal(tmp_path / name, tmp_path, kind)) or "not a folder, a .zip, or a .tar" in said


def test_a_missing_archive_is_a_fault_of_the_command(tmp_path: Path) -> None:
    assert "no such file or folder" in refusal(tmp_path / "nowhere.zip", tmp_path, UsageError)


def test_what_a_mac_leaves_in_a_zip_is_dropped_and_the_one_top_folder_is_stripped(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        for name in ("top/a", "top/.DS_Store", "__MACOSX/top/._a", ".DS_Store"):
            opened.writestr(name, b"1")
    root = unpack(tmp_path / "a.zip", tmp_path / "target")
    assert [path.relative_to(root).as_posix() for path in root.rglob("*")] == ["a"]


@pytest.mark.parametrize(
    ("name", "magic"),
    [("data.tar", bytes(8))]  # the oldest are known by their names alone
    + [(name, magic) for name in ("data.tar", "data.zip", "data") for magic in (b"ustar\x0000", b"ustar  \0")],
)
def test_a_tar_whose_last_member_is_a_zip_is_read_as_the_tar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, magic: bytes
) -> None:
    monkeypatch.setattr(tarfile, "POSIX_MAGIC", magic)
    files = {"a": b"1", "z.zip": zipped(tmp_path / "inner", [("inside", b"2")]).read_bytes()}
    source = tar(tmp_path / "data.tar", list(files.items())).rename(tmp_path / name)
    assert zipfile.is_zipfile(source)
    assert contents(unpack(source, tmp_path / "target")) == files


@pytest.mark.parametrize("name", ["data.zip", "data.tar", "data"])
def test_a_zip_whose_last_member_is_a_tar_is_read_as_the_zip(tmp_path: Path, name: str) -> None:
    files = {"a": b"1", "z.tar": tar(tmp_path / "z.tar", [("inside", b"2")]).read_bytes()}
    source = zipped(tmp_path / name, list(files.items()))
    assert contents(unpack(source, tmp_path / "target")) == files


def test_a_zip_that_unpacks_itself_is_known_by_its_name(tmp_path: Path) -> None:
    source = zipped(tmp_path / "data.zip", list(FILES.items()))
    source.write_bytes(b"MZ program" + source.read_bytes())
    assert contents(unpack(source, tmp_path / "target")) == UNPACKED
