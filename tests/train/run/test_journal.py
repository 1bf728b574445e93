import json
import resource
from pathlib import Path

import pytest

from roadseg.train.run.journal import Journal, read_journal, run_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return run_folder(tmp_path, "fingerprint")


def steps(entries: list[dict[str, int]]) -> list[int]:
    return [entry["step"] for entry in entries]


def test_what_is_said_is_read_in_order_with_its_time(folder: Path) -> None:
    journal = Journal(folder)
    journal.metric(3, {"loss": 0.5})
    journal.note("resumed", epoch=2)
    (metric, note), _ = read_journal(folder)
    assert metric == {"kind": "metric", "step": 3, "values": {"loss": 0.5}, "t": metric["t"]}
    assert note == {"kind": "note", "text": "resumed", "epoch": 2, "t": note["t"]}
    assert 1_700_000_000_000 < metric["t"] <= note["t"]


def test_opening_again_keeps_what_is_there(folder: Path) -> None:
    Journal(folder).metric(1, {})
    Journal(folder).metric(2, {})
    assert steps(read_journal(folder)[0]) == [1, 2]


def test_a_line_cut_anywhere_is_dropped_at_the_next_open_and_no_other(folder: Path) -> None:
    Journal(folder).metric(1, {"loss": 1.0})
    path = folder / "journal.jsonl"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole + whole[:length])
        Journal(folder).metric(2, {})
        assert steps(read_journal(folder)[0]) == [1, 2], length


def test_a_journal_that_is_one_cut_line_becomes_empty(folder: Path) -> None:
    Journal(folder)
    (folder / "journal.jsonl").write_bytes(b'{"kind": "met')
    Journal(folder)
    assert (folder / "journal.jsonl").read_bytes() == b""


def test_a_line_that_is_still_being_written_is_read_when_it_is_whole(folder: Path) -> None:
    Journal(folder).metric(1, {})
    path = folder / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:9])
    entries, offset = read_journal(folder)
    assert (steps(entries), offset) == ([1], len(whole))
    assert read_journal(folder, offset) == ([], offset)
    path.write_bytes(whole + whole)
    entries, offset = read_journal(folder, offset)
    assert (steps(entries), offset) == ([1], 2 * len(whole))


def test_reading_goes_on_from_an_offset(folder: Path) -> None:
    journal = Journal(folder)
    offset, seen = 0, []
    for step in range(5):
        journal.metric(step, {"text": float(step)})
        entries, offset = read_journal(folder, offset)
        seen += steps(entries)
    assert seen == [0, 1, 2, 3, 4]
    assert offset == (folder / "journal.jsonl").stat().st_size


def test_a_line_that_is_not_json_is_passed_over(folder: Path) -> None:
    Journal(folder).metric(1, {})
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes() + b"\x00\xff not json\n\n")
    Journal(folder).metric(2, {})
    entries, offset = read_journal(folder)
    assert (steps(entries), offset) == ([1, 2], path.stat().st_size)


def test_a_full_disk_leaves_no_half_line_that_takes_the_next_with_it(folder: Path) -> None:
    journal = Journal(folder)
    journal.metric(1, {"loss": 1.0})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((folder / "journal.jsonl").stat().st_size + 10, hard))
    try:
        with pytest.raises(OSError, match=r"journal\.jsonl"):
            journal.system(1, {"system/cpu_utilization_percentage": 50.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    journal.metric(2, {"loss": 0.5})
    assert steps(read_journal(folder)[0]) == [1, 2]


def test_where_there_is_no_journal_nothing_is_read(folder: Path) -> None:
    assert read_journal(folder, 5) == ([], 5)


def test_every_entry_is_one_line_whatever_its_text(folder: Path) -> None:
    Journal(folder).note("a\nb\u2028c\r")
    (line,) = (folder / "journal.jsonl").read_bytes().splitlines()
    assert json.loads(line)["text"] == "a\nb\u2028c\r"
