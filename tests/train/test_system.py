import time
from pathlib import Path

import pytest

from roadseg.contracts.journal import Journal, read_journal
from roadseg.train import system
from roadseg.train.system import watching


def looks(folder: Path) -> list[int]:
    return [entry["step"] for entry in read_journal(folder)[0] if entry["kind"] == "system"]


def wait_for(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 30
    while len(looks(folder)) < count and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_machine_s_figures_stand_in_the_journal_and_go_on_after_a_kill(tmp_path: Path) -> None:
    for wanted in (2, 4):
        with watching(Journal(tmp_path), pause=0.01):
            wait_for(tmp_path, wanted)
    steps = looks(tmp_path)
    assert len(steps) >= 4
    assert steps == list(range(1, len(steps) + 1))
    values = read_journal(tmp_path)[0][-1]["values"]
    assert values["system/system_memory_usage_megabytes"] > 0
    assert 0 <= values["system/cpu_utilization_percentage"] <= 100


def test_no_look_follows_the_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with watching(journal, pause=0.01):
        wait_for(tmp_path, 1)
    journal.note("done")
    time.sleep(0.1)
    assert read_journal(tmp_path)[0][-1]["text"] == "done"


def test_a_look_that_fails_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def failing() -> dict[str, float]:
        asked.append(1)
        raise OSError("no /proc here")

    monkeypatch.setattr(system, "machine_load", failing)
    with watching(Journal(tmp_path), pause=0.01):
        deadline = time.monotonic() + 30
        while len(asked) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(asked) >= 3
    assert looks(tmp_path) == []
    assert capsys.readouterr().err.count("no /proc here") == 1
