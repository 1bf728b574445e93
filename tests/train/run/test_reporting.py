from pathlib import Path

import numpy as np
import pytest

from roadseg.contracts.shards import Shards
from roadseg.train.data.batches import split_monitored
from roadseg.train.run.checkpointing import forget_others
from roadseg.train.run.journal import Journal, read_journal
from roadseg.train.run.reporting import Reporter, chosen, pictured_epochs
from roadseg.train.run.throughput import Throughput
from roadseg.train.run.watched import read_watched

ROW = {"loss": 1.0, "learning_rate": 0.1, "miou": 0.5}


def tell(folder: Path, shards: Shards, epochs: range) -> Reporter:
    reporter = Reporter(Journal(folder), [(32, 64)] * 30, split_monitored(shards, 0.3, 0)[1])
    guess = np.zeros((len(reporter.shown), 16, 32), np.uint8)
    for epoch in epochs:
        reporter.after_epoch(ROW | {"epoch": epoch}, Throughput(), guess)
    return reporter


def steps(folder: Path, kind: str) -> list[int]:
    return [entry["step"] for entry in read_journal(folder)[0] if entry["kind"] == kind]


def test_each_epoch_is_told_once_and_a_tenth_of_them_is_pictured(tmp_path: Path, shards: Shards) -> None:
    tell(tmp_path, shards, range(1, 5))
    tell(tmp_path, shards, range(4, 31))  # killed in the fifth, it goes on from the end of the third
    assert steps(tmp_path, "metric") == list(range(1, 31))
    assert steps(tmp_path, "image") == [1, *range(3, 31, 3)]
    assert all(read_watched(tmp_path, epoch) for epoch in steps(tmp_path, "image"))


def test_where_pictures_are_off_none_is_kept(tmp_path: Path, shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADSEG_PICTURES", "off")
    assert tell(tmp_path, shards, range(1, 5)).shown == []
    assert steps(tmp_path, "metric") == [1, 2, 3, 4]
    assert steps(tmp_path, "image") == []
    assert not (tmp_path / "watched").exists()


@pytest.mark.parametrize(("sent", "done", "kept"), [(True, True, False), (False, True, True), (True, False, True)])
def test_pictures_of_a_training_that_is_done_go_when_they_are_sent(
    tmp_path: Path, shards: Shards, sent: bool, done: bool, kept: bool
) -> None:
    folder = tmp_path / "one"
    tell(folder, shards, range(1, 2))
    if done:
        Journal(folder).note("done")
    if sent:
        (folder / "pictured").write_text(str((folder / "journal.jsonl").stat().st_size))
    forget_others(tmp_path / "other")
    assert (folder / "watched").exists() == kept


@pytest.mark.parametrize(("count", "wanted", "numbers"), [(51, 4, [0, 12, 25, 38]), (4, 4, [0, 1, 2, 3]), (1, 4, [0])])
def test_images_are_evenly_spread(count: int, wanted: int, numbers: list[int]) -> None:
    assert chosen(count, wanted) == numbers


@pytest.mark.parametrize(
    ("epochs", "found"),
    [(1, {1}), (3, {1, 2, 3}), (16, {1, 2, 3, 5, 6, 8, 10, 11, 13, 14, 16}), (100, {1, *range(10, 101, 10)})],
)
def test_the_first_and_the_last_epoch_are_among_the_pictured(epochs: int, found: set[int]) -> None:
    assert pictured_epochs(epochs, 10) == found
