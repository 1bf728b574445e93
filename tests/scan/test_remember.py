"""Facts are reused where the file, or its bytes, were seen before by the same code; else the file is read."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.scan import describe, remember
from roadseg.scan.layouts.found import Found

FOUND = Found("train", "12", "1", "image.png", "mask_label.png")
Row = dict[str, Any]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of one sample, and a home of its own."""
    monkeypatch.setenv("ROADSEG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ROADSEG_WORKERS", "1")
    monkeypatch.setattr(remember, "SETTLE_NS", 0)
    root = tmp_path / "raw"
    root.mkdir()
    Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30).repeat(3).reshape(20, 30, 3)).save(
        root / "image.png"
    )
    Image.fromarray(np.ones((20, 30), np.uint8)).save(root / "mask_label.png", compress_level=0)
    return root


@pytest.fixture
def table() -> ClassTable:
    return ClassTable.find("idd-level1")


def look(root: Path, table: ClassTable, capsys: pytest.CaptureFixture[str]) -> tuple[Row, int]:
    """The sample's row, and how many files were known."""
    capsys.readouterr()
    (row,) = describe.describe(root, [FOUND], table)
    return row, int(capsys.readouterr().out.rpartition("scan: ")[2].partition(" of ")[0])


def never(*_: Any) -> Row:
    raise AssertionError("a known file was decoded")


def test_a_second_look_reads_nothing_and_finds_the_same(
    root: Path, table: ClassTable, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, known = look(root, table, capsys)
    assert known == 0
    monkeypatch.setattr(describe, "_digest", never)
    monkeypatch.setattr(describe, "_facts", never)
    assert look(root, table, capsys) == (first, 2)


def test_equal_bytes_in_another_checkout_are_digested_and_not_decoded(
    root: Path, table: ClassTable, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = look(root, table, capsys)
    other = Path(shutil.copytree(root, root.with_name("other")))
    monkeypatch.setattr(describe, "_facts", never)
    assert look(other, table, capsys) == (first, 0)
    assert look(other, table, capsys) == (first, 2)


def test_an_edit_that_keeps_size_and_modification_time_is_seen(
    root: Path, table: ClassTable, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = look(root, table, capsys)
    path, seen = root / "mask_label.png", (root / "mask_label.png").stat()
    Image.fromarray(np.full((20, 30), 2, np.uint8)).save(path, compress_level=0)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert path.stat().st_size == seen.st_size
    changed, known = look(root, table, capsys)
    assert known == 1
    assert (first["class_pixels"][1], changed["class_pixels"][2]) == (600, 600)


def test_a_file_that_changed_a_moment_ago_is_not_trusted_by_its_times(
    root: Path, table: ClassTable, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remember, "SETTLE_NS", 3_600_000_000_000)
    first, _ = look(root, table, capsys)
    assert look(root, table, capsys) == (first, 0)


def test_facts_that_other_code_found_are_not_served(
    root: Path, table: ClassTable, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look(root, table, capsys)
    monkeypatch.setattr(describe, "code_digests", lambda *_: {"a.py": "other"})
    assert look(root, table, capsys)[1] == 0


def test_facts_that_another_pillow_found_are_not_served(
    root: Path, table: ClassTable, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look(root, table, capsys)
    monkeypatch.setattr(PIL, "__version__", "another")
    assert look(root, table, capsys)[1] == 0


def test_a_mask_is_read_again_under_another_table_or_coding(
    root: Path, table: ClassTable, capsys: pytest.CaptureFixture[str]
) -> None:
    look(root, table, capsys)
    assert look(root, ClassTable.find("idd-level3"), capsys)[1] == 1
    (root / "mask_label.png").rename(root / "mask_labellevel3Ids.png")
    describe.describe(root, [replace(FOUND, mask="mask_labellevel3Ids.png")], table)
    assert "1 of 2 files are known" in capsys.readouterr().out


def test_a_broken_file_is_remembered_as_broken(
    root: Path, table: ClassTable, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "image.png").write_bytes(b"\x89PNG cut")
    first, _ = look(root, table, capsys)
    assert first["error"] == "image.png: not a picture in a known format"
    assert first["image_sha"]
    assert look(root, table, capsys) == (first, 2)


@pytest.mark.parametrize(
    "damage", [b"no database", b"SQLite format 3\0" + bytes(200), b""], ids=["text", "cut", "in the middle"]
)
def test_a_damaged_memory_costs_time_and_nothing_else(
    root: Path, table: ClassTable, capsys: pytest.CaptureFixture[str], damage: bytes
) -> None:
    first, _ = look(root, table, capsys)
    memory = root.parent / "home/reuse/facts.sqlite"
    content = memory.read_bytes()
    memory.write_bytes(damage or content[:4096] + b"\xff" * 4096 + content[8192:])
    capsys.readouterr()
    assert describe.describe(root, [FOUND], table) == [first]
    assert f"{memory} is damaged: it is made anew" in capsys.readouterr().out
    assert look(root, table, capsys) == (first, 2)
