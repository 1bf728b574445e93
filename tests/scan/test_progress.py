"""A person who waits for scan sees how far it is."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.scan.describe import describe
from roadseg.scan.layouts.found import Found

FOUND = [Found("train", "1", str(number), f"{number}.png", None) for number in range(5)]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five pictures, and room for a bar."""
    monkeypatch.setenv("ROADSEG_WORKERS", "1")
    monkeypatch.setenv("COLUMNS", "100")
    for number in range(5):
        Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
    return tmp_path


def bars(printed: str) -> dict[str, str]:
    """The last share of each bar, by its title."""
    return dict(re.findall(r"(\w+) [━╸╺ ]+ +(\d+%)", printed))


def test_scan_shows_how_many_files_are_digested_and_read(
    root: Path, idd_level1: ClassTable, capsys: pytest.CaptureFixture[str]
) -> None:
    describe(root, FOUND, idd_level1)
    assert bars(capsys.readouterr().out) == {"digest": "100%", "scan": "100%"}


def test_where_every_file_is_known_there_is_no_bar(
    root: Path, idd_level1: ClassTable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("roadseg.scan.remember.SETTLE_NS", 0)
    describe(root, FOUND, idd_level1)
    capsys.readouterr()
    describe(root, FOUND, idd_level1)
    assert capsys.readouterr().out == "scan: 5 of 5 files are known from before\n"
