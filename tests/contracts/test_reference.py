from pathlib import Path

import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.manifest import from_rows
from roadseg.contracts.reference import read_reference, write_no_reference, write_reference

ROWS = [
    {"sample": "train/1", "split": "train", "class_pixels": [10, 20, 5]},
    {"sample": "train/2", "split": "train", "class_pixels": [10, 0, 5]},
    {"sample": "train/3", "split": "train"},
    {"sample": "val/1", "split": "val", "class_pixels": [0, 0, 9]},
]


def test_shares_are_read_as_they_were_written_and_only_for_their_table(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    write_reference(path, from_rows(ROWS, "idd-lite", ClassTable.find("road")))
    assert read_reference(path, "road") == {"train": {"other": 0.5, "road": 0.5}}
    assert read_reference(path, "idd-level1") == {}


def test_before_any_data_were_accepted_there_are_no_shares(tmp_path: Path) -> None:
    write_no_reference(tmp_path / "reference.json")
    assert read_reference(tmp_path / "reference.json", "road") == {}


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b'{"schema": "roadseg/reference/9"}'])
def test_a_damaged_reference_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "reference.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"reference\.json .*roadseg data import"):
        read_reference(tmp_path / "reference.json", "road")


def test_a_missing_reference_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"reference\.json is missing: `roadseg data import` writes it"):
        read_reference(tmp_path / "reference.json", "road")
