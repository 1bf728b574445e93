"""data/splits.csv: what is decided stays decided, and what cannot be meant is named with its line."""

from pathlib import Path

import pytest

from roadseg.contracts.errors import UsageError
from roadseg.contracts.splits import Decided, decide_splits, read_splits, splits_of, write_splits

LINES = [Decided("12", "train", "town", "one"), Decided("7", "val")]


def test_what_was_written_is_read_sorted(tmp_path: Path) -> None:
    write_splits(tmp_path / "splits.csv", LINES)
    assert (tmp_path / "splits.csv").read_text() == "drive,split,dataset,batch\n7,val,,\n12,train,town,one\n"
    assert set(read_splits(tmp_path / "splits.csv")) == set(LINES)
    assert read_splits(tmp_path / "nowhere.csv") == []


def test_a_later_decision_replaces_an_earlier_one_and_an_equal_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    write_splits(path, LINES)
    before = path.stat()
    decide_splits(path, {"12": "train"}, "town", "two")
    assert path.stat().st_ino == before.st_ino
    decide_splits(path, {"12": "val", "13": "test"}, "town", "two")
    assert splits_of(read_splits(path), "town") == {"7": "val", "12": "val", "13": "test"}


def test_a_line_counts_for_its_data_set_and_one_without_for_any() -> None:
    lines = [Decided("1", "val"), Decided("1", "train", "town"), Decided("2", "test", "city")]
    assert splits_of(lines, "town") == {"1": "train"}
    assert splits_of(lines, "city") == {"1": "val", "2": "test"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("drive,split\n1,val\n", "the first line must be drive,split,dataset,batch"),
        ("drive,split,dataset,batch\n1,val\n", "line 2 must have 4 fields"),
        ("drive,split,dataset,batch\n1,valid,,\n", "line 2: give a drive and one of train, val, test, found '1'"),
        ("drive,split,dataset,batch\n1,val,,\n1,train,,\n", "line 3: drive 1 is val in a line above and train here"),
    ],
)
def test_what_cannot_be_meant_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(UsageError, match=said):
        read_splits(tmp_path / "splits.csv")


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_bytes(b"drive,split,dataset,batch\n\xff\xfe,val,,\n")
    with pytest.raises(UsageError, match=r"splits\.csv is not valid CSV in UTF-8"):
        read_splits(tmp_path / "splits.csv")
