"""A training that was stopped or killed goes on, and ends with the weights of one that was not."""

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from held import allow
from small_training import ALL, Forked

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import REPLACING
from roadseg.contracts.shards import Shards
from roadseg.pipeline.watchdog import hung
from roadseg.train.run.checkpoint import NAMES
from roadseg.train.run.heartbeat import Heartbeat, beat, read_heartbeat
from roadseg.train.run.journal import read_journal

EPOCHS = 12


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, make_shards: Callable[..., Shards]) -> Path:
    """A tree with shards, and nothing trained."""
    tree = tmp_path_factory.mktemp("made") / "tree"
    make_shards(tree / "data/shards", ClassTable.find("idd-level1"))
    return tree


@pytest.fixture
def tree(made: Path, tmp_path: Path) -> Path:
    """Such a tree of one's own, with a home in it."""
    return Path(shutil.copytree(made, tmp_path / "tree"))


def start(tree: Path, seconds: float = 0.0, to: int = EPOCHS, **more: str) -> Forked:
    """Start a training with all that is drawn by chance, which saves its state each so many seconds.

    It ends only where `to` is all epochs: it waits behind `to` until it is stopped, however late that is.
    """
    allow(tree / "home", to)
    return Forked(tree, EPOCHS, ALL, {"ROADSEG_CHECKPOINT_SECONDS": str(seconds), **more})


def finish(tree: Path, seconds: float = 0.0) -> tuple[str, str]:
    """Train to the end; the digest of the weights and what was printed."""
    code, printed = start(tree, seconds).end()
    assert code == 0, printed
    return str(json.loads((tree / "models/bundle/card.json").read_text())["weights"]), printed


def kill(process: Forked) -> None:
    process.send_signal(signal.SIGKILL)
    process.end()


def run_of(tree: Path) -> Path | None:
    return next((tree / "home/runs").glob("*/"), None)


def wait_for_step(tree: Path, process: Forked, epoch: int) -> Path:
    """Wait until the training has begun an epoch, as long as it lives; its run folder."""
    while process.lives():
        run = run_of(tree)
        seen = read_heartbeat(run) if run else None
        if run and seen and seen.pid == process.pid and (seen.epoch, seen.step) > (epoch, 0):
            return run
        time.sleep(0.01)
    raise AssertionError(f"it never came to epoch {epoch}: {process.end()}")


@pytest.fixture(scope="module")
def undisturbed(made: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Digest of the weights of a training that nobody stopped and that never saved its state."""
    tree = Path(shutil.copytree(made, tmp_path_factory.mktemp("undisturbed") / "tree"))
    return finish(tree, seconds=3600)[0]


def test_a_kill_costs_nothing(tree: Path, undisturbed: str) -> None:
    process = start(tree, to=9)
    run = wait_for_step(tree, process, 5)
    kill(process)
    weights, printed = finish(tree)
    assert "train: goes on in epoch" in printed
    assert weights == undisturbed
    told = [entry["step"] for entry in read_journal(run)[0] if entry["kind"] == "metric"]
    assert told == list(range(1, EPOCHS + 1))  # no epoch twice


def test_a_kill_at_each_named_place_of_saving_costs_nothing(tree: Path, undisturbed: str) -> None:
    for name in NAMES:
        for place in REPLACING:
            code, printed = start(tree, ROADSEG_FAILPOINT=f"{name}:{place}").end()
            assert code == -signal.SIGKILL, printed
    weights, printed = finish(tree)
    assert "train: goes on in epoch" in printed
    assert weights == undisturbed


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.soak)])
def test_a_signal_saves_the_state_and_says_so(tree: Path, undisturbed: str, number: signal.Signals) -> None:
    process = start(tree, seconds=3600, to=9)
    run = wait_for_step(tree, process, 3)
    process.send_signal(number)
    begun = time.monotonic()
    code, printed = process.end()
    assert time.monotonic() - begun < 20
    assert code == 75
    assert f"stopped by {number.name} in epoch " in printed
    assert any((run / name).exists() for name in NAMES)
    weights, printed = finish(tree)
    assert "train: goes on in epoch" in printed
    assert weights == undisturbed


@pytest.mark.soak
def test_a_training_that_is_done_is_not_done_again_until_another_is(tree: Path, undisturbed: str) -> None:
    finish(tree)
    shutil.rmtree(tree / "models")  # as after a kill before DVC has the bundle
    weights, printed = finish(tree)
    assert weights == undisturbed
    assert f"train: goes on in epoch {EPOCHS + 1}" in printed


@pytest.mark.soak
def test_a_hung_trainer_is_ended_and_the_next_goes_on(tree: Path, undisturbed: str) -> None:
    hang(tree)
    assert finish(tree)[0] == undisturbed


def hang(tree: Path) -> None:
    """Let a trainer hang in the middle, and see it ended by who watches it."""
    process = start(tree, to=9, ROADSEG_HANG_SECONDS="15")
    wait_for_step(tree, process, 3)
    process.send_signal(signal.SIGSTOP)
    code, printed = process.end()
    assert code == -signal.SIGKILL
    assert "train: no sign of life for" in printed


@pytest.mark.parametrize(
    ("silence", "slowest", "expected"), [(5, 1, False), (11, 0.5, True), (50, 6, False), (61, 6, True)]
)
def test_a_slow_trainer_is_no_hung_one(silence: float, slowest: float, expected: bool) -> None:
    assert hung(Heartbeat(1, 100.0, 1, 1, slowest), 100.0 + silence, limit=10) == expected


def test_the_slowest_step_is_remembered(tmp_path: Path) -> None:
    for pause in (0.0, 0.2, 0.0):
        time.sleep(pause)
        beat(tmp_path, 1, 1)
    seen = read_heartbeat(tmp_path)
    assert seen
    assert seen.pid == os.getpid()
    assert 0.2 <= seen.slowest < 5


def test_a_heartbeat_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert read_heartbeat(tmp_path) is None
    (tmp_path / "heartbeat").write_text('{"pid": 1')
    assert read_heartbeat(tmp_path) is None


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_five_random_kills_cost_nothing(tree: Path, undisturbed: str, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(5):
        process = start(tree, seconds=0.05, to=EPOCHS - 1)
        wait_for_step(tree, process, 1)
        time.sleep(chance.uniform(0, 3))
        kill(process)
    assert finish(tree)[0] == undisturbed


@pytest.mark.soak
@pytest.mark.parametrize("_", range(10))
def test_every_hung_trainer_is_ended(tree: Path, _: int) -> None:
    hang(tree)
