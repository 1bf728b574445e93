import os
from pathlib import Path

import pytest

from roadseg.contracts.errors import UsageError
from roadseg.workspace import records
from roadseg.workspace.records import (
    RunRecord,
    find_record,
    keep_lock,
    kept_lock,
    last_final,
    present_versions,
    read_records,
    records_folder,
    write_record,
)


def write(run: str, started: float, **fields: object) -> RunRecord:
    record = RunRecord.model_validate({"run": run, "started": started} | fields)
    write_record(record)
    return record


def test_a_record_comes_back_as_it_was_written_and_the_last_one_counts() -> None:
    write("one", 1.0, state="Running")
    ended = write("one", 1.0, state="Completed", stages={"scan": {"ended": "Ran", "seconds": 1.5}}, version=7)
    assert read_records() == [ended]
    assert find_record("one") == ended


def test_the_newest_come_first() -> None:
    for number in range(5):
        write(f"run{number}", float(number))
    assert [record.run for record in read_records(2)] == ["run4", "run3"]


def test_the_newest_are_read_without_the_old_ones_also_where_a_long_run_wrote_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(1, 10):
        write(f"run{number}", 1000.0 * number, final=number == 7)
        written = 20_000 if number == 5 else 1000 * number + 5
        os.utime(records_folder() / f"run{number}.json", (written, written))
    read: list[str] = []
    really = records._read
    monkeypatch.setattr(records, "_read", lambda path: (read.append(path.stem), really(path))[1])
    last = last_final()
    assert last is not None
    assert last.run == "run7"
    assert read == ["run5", "run9", "run8", "run7"]
    assert [record.run for record in read_records()] == [f"run{number}" for number in range(9, 0, -1)]


def test_no_home_and_damaged_records_are_no_error() -> None:
    assert read_records() == []
    assert last_final() is None
    kept = write("one", 1.0)
    for name, text in {"half": '{"run": "ha', "other": '{"schema": "roadseg/run/9"}', "list": "[]"}.items():
        (records_folder() / f"{name}.json").write_text(text)
    (records_folder() / "folder.json").mkdir()
    assert read_records() == [kept]


def test_what_a_later_version_writes_more_is_passed_over() -> None:
    write("one", 1.0)
    path = records_folder() / "one.json"
    path.write_text(path.read_text().replace('"run": "one"', '"run": "one", "weather": "wet"'))
    assert read_records()[0].run == "one"


def test_a_run_is_found_by_the_start_of_its_id_and_by_its_name() -> None:
    write("3fa9c120-1", 1.0, name="promoted v7 +0.012")
    write("3fa9c120-2", 2.0)
    write("77", 3.0)
    assert find_record("promoted v7 +0.012").run == "3fa9c120-1"
    assert find_record("7").run == "77"
    with pytest.raises(UsageError, match="'3fa9' may be each of 3fa9c120-2, 3fa9c120-1: give more of it"):
        find_record("3fa9")
    for unknown in ("5", ""):
        with pytest.raises(UsageError, match=r"no run '5?' in .*: `roadseg runs` lists them"):
            find_record(unknown)


def test_the_last_final_run_is_of_its_deployment_and_came_to_a_decision() -> None:
    write("decided", 1.0, final=True)
    write("failed", 2.0, state="Failed")
    write("monitor", 3.0, deployment="monitor", final=True)
    assert last_final() == find_record("decided")
    lacking = write("lacked evidence", 4.0, missing=True)
    assert last_final() == lacking
    assert last_final("ingest") is None


def test_a_lock_is_kept_beside_the_record(tmp_path: Path) -> None:
    record = RunRecord(run="one")
    assert (keep_lock("one", tmp_path), kept_lock(record)) == ("", "")
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\n")
    digest = keep_lock("one", tmp_path)
    assert len(digest) == 64
    assert kept_lock(record) == "schema: '2.0'\n"
    assert read_records() == []
    assert (records_folder() / "one" / "dvc.lock").exists()


def test_versions_are_of_what_is_installed() -> None:
    versions = present_versions()
    assert {"python", "numpy", "keras", "dvc"} <= versions.keys()
    assert all(versions.values())
