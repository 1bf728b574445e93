"""Several devices or processes train one model: the batch is dealt out, and the weights are those of one device."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pytest
from servers import free_port
from small_training import FAST_TO_COMPILE
from trees import ROOT

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.shards import Shards
from roadseg.train.run.heartbeat import read_heartbeat
from roadseg.train.step.devices import sharing
from roadseg.train.step.worker_processes import ADDRESSES, COUNT, RANK, WorkerProcesses

TWO = {"KERAS_BACKEND": "jax", COUNT: "2", RANK: "1", ADDRESSES: "10.0.0.1:1234"}


class Ended(NamedTuple):
    tree: Path
    code: int
    printed: str

    @property
    def weights(self) -> str:
        return self.printed.partition("ends with ")[2].partition("\n")[0]


class Training:
    """Worker processes on JAX that train together, each in a tree and a home of its own, as on several hosts."""

    def __init__(self, trees: list[Path], epochs: int, devices: int = 1, options: tuple[str, ...] = ()) -> None:
        address = f"127.0.0.1:{free_port()}"
        self.trees = trees
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "small_training", str(epochs), *options[rank : rank + 1]],
                cwd=tree,
                env=os.environ
                | {ADDRESSES: address, COUNT: str(len(trees)), RANK: str(rank), "KERAS_BACKEND": "jax"}
                | {"XLA_FLAGS": f"{FAST_TO_COMPILE} --xla_force_host_platform_device_count={devices}"}
                | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}", "ROADSEG_HOME": str(tree / "home")},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for rank, tree in enumerate(trees)
        ]

    def end(self) -> list[Ended]:
        printed = [process.communicate(timeout=500)[0] for process in self.processes]
        found = zip(self.trees, self.processes, printed, strict=True)
        return [Ended(tree, process.returncode, text) for tree, process, text in found]

    def wait_for_epoch(self, epoch: int) -> None:
        runs = self.trees[0] / "home/runs"
        while all(process.poll() is None for process in self.processes):
            if any((seen := read_heartbeat(run)) and seen.epoch >= epoch for run in runs.glob("*/")):
                return
            time.sleep(0.05)
        raise AssertionError(self.end())


@pytest.fixture
def trees(tmp_path: Path, make_shards: Callable[..., Shards]) -> Callable[[str, int], list[Path]]:
    def make(name: str, count: int) -> list[Path]:
        made = [tmp_path / name / f"host{number}" for number in range(count)]
        for tree in made:
            make_shards(tree / "data/shards", ClassTable.find("idd-level1"))
        return made

    return make


Trees = Callable[[str, int], list[Path]]


def arrays(tree: Path) -> dict[str, np.ndarray]:
    with np.load(tree / "models/bundle/weights.npz") as content:
        return {name: content[name] for name in content.files if name != "meta"}


def assert_close(one: Path, other: Path) -> None:
    left, right = arrays(one), arrays(other)
    assert left.keys() == right.keys()
    for name, array in left.items():
        np.testing.assert_allclose(array, right[name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize("model", ["lite0", pytest.param("small", marks=pytest.mark.soak)])
def test_two_processes_end_with_equal_weights_and_the_first_alone_writes(trees: Trees, model: str) -> None:
    first, second = Training(trees("two", 2), epochs=1, options=(json.dumps({"model": model}),) * 2).end()
    assert [first.code, second.code] == [0, 0], first.printed + second.printed
    assert "batches of 4 are shared by 2 devices" in first.printed
    assert first.weights
    assert first.weights == second.weights
    assert {path.name for path in first.tree.iterdir()} == {"data", "home", "models", "reports"}
    assert {path.name for path in second.tree.iterdir()} == {"data"}


@pytest.mark.soak
def test_devices_and_processes_train_as_one_device_does(trees: Trees) -> None:
    [alone] = Training(trees("alone", 1), epochs=4).end()
    [local] = Training(trees("local", 1), epochs=4, devices=6).end()
    first, second = Training(trees("two", 2), epochs=4).end()
    assert [each.code for each in (alone, local, first, second)] == [0] * 4
    assert "warning: 2 of 6 devices take part, since 6 do not divide a batch of 4" in local.printed
    assert_close(alone.tree, local.tree)
    assert_close(alone.tree, first.tree)
    found = {json.loads((each.tree / "models/bundle/card.json").read_text())["fingerprint"] for each in (alone, first)}
    assert len(found) == 1


@pytest.mark.soak
@pytest.mark.parametrize("told", [0, 1])
def test_one_that_is_told_to_stop_stops_all_and_together_they_go_on(trees: Trees, told: int) -> None:
    undisturbed, _ = Training(trees("undisturbed", 2), epochs=12).end()
    hosts = trees("stopped", 2)
    training = Training(hosts, epochs=12)
    training.wait_for_epoch(3)
    training.processes[told].send_signal(signal.SIGTERM)
    ended = training.end()
    assert [each.code for each in ended] == [75, 75], ended
    assert "stopped by SIGTERM in epoch" in ended[told].printed
    assert "stopped by another process in epoch" in ended[1 - told].printed
    again = Training(hosts, epochs=12).end()
    assert all("train: goes on in epoch" in each.printed for each in again[:1])
    assert {each.weights for each in again} == {undisturbed.weights}


@pytest.mark.soak
def test_a_process_that_fails_by_itself_ends_all(trees: Trees) -> None:
    hosts = trees("half", 2)
    shutil.rmtree(hosts[1] / "data")
    first, second = Training(hosts, epochs=1).end()
    assert [first.code, second.code] == [1, 2]
    assert "another process of this training failed" in first.printed
    assert "data/shards" in second.printed


@pytest.mark.soak
def test_processes_that_would_train_different_things_are_told_so(trees: Trees) -> None:
    ended = Training(trees("odd", 2), epochs=1, options=("{}", "{clip: 1.0}")).end()
    assert [each.code for each in ended] == [2, 2]
    assert "another process has another fingerprint" in ended[0].printed
    assert "process 1 has fingerprint" in ended[1].printed


def test_one_process_is_what_is_asked_for_by_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert WorkerProcesses.asked() == WorkerProcesses(0, 1)
    for name, value in TWO.items():
        monkeypatch.setenv(name, value)
    assert WorkerProcesses.asked() == WorkerProcesses(1, 2)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({COUNT: "two"}, "NUM_PROCESSES is 'two': give the number"),
        ({RANK: ""}, "PROCESS_ID is '': give each of the 2 processes"),
        ({RANK: "2"}, "PROCESS_ID is '2': give each"),
        ({ADDRESSES: ""}, "JOB_ADDRESSES is missing: give all processes host:port"),
        ({"KERAS_BACKEND": "tensorflow"}, "TensorFlow trains in one process here: set KERAS_BACKEND=jax"),
    ],
)
def test_half_an_answer_is_refused_with_the_other_half(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], told: str
) -> None:
    for name, value in (TWO | changes).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=told):
        WorkerProcesses.asked()


def test_a_batch_that_cannot_be_dealt_evenly_is_refused() -> None:
    with pytest.raises(UsageError, match="4 images cannot be dealt to 3 processes evenly: take a multiple of 3"):
        sharing(4, WorkerProcesses(0, 3)).__enter__()


def test_one_device_is_shared_by_nothing() -> None:
    with sharing(4, WorkerProcesses()) as used:
        assert used == 1
        assert keras.distribution.distribution() is None
