import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from trees import shard_digests

from roadseg.contracts.files import REPLACING
from roadseg.contracts.shards import Shards
from roadseg.preprocess import encode, stage, store

RUN = """
from roadseg.preprocess import stage
from roadseg.preprocess.stage import PreprocessParams, run
stage.KEPT_AT_ONCE = 3
run(preprocess=PreprocessParams(height=320, width=640, aspect="pad", tile=2))
"""
Killed = Callable[[Path, str, Callable[[], None]], bool]
Start = Callable[..., "subprocess.Popen[bytes]"]


def start(background: Start, tree: Path, home: Path) -> "subprocess.Popen[bytes]":
    env = {**os.environ, "ROADSEG_HOME": str(home), "ROADSEG_WORKERS": "2"}
    return background([sys.executable, "-c", RUN], cwd=tree, env=env, stdout=subprocess.DEVNULL)


def test_killed_at_any_time_the_next_run_goes_on_and_gives_equal_shard_digests(
    background: Start, tmp_path: Path, make_tree: Callable[..., Path], rows: list[dict[str, Any]]
) -> None:
    rows = [row | {"drive": str(number)} for number, row in enumerate(rows)]  # many drives, to be killed between
    undisturbed, tree, kept_in = make_tree(tmp_path / "one", rows), make_tree(tmp_path / "two", rows), tmp_path / "home"
    assert start(background, undisturbed, tmp_path / "other").wait() == 0
    chance, kept = random.Random(7), [0]
    for _ in range(4):
        running = start(background, tree, kept_in)
        _wait_for_entries(running, kept_in, kept[-1] + 1)
        time.sleep(chance.uniform(0, 0.15))
        running.send_signal(signal.SIGKILL)
        running.wait()
        kept.append(entries(kept_in))
        assert not (tree / "data/shards").exists() or Shards.open(tree / "data/shards")
    assert kept == sorted(kept)
    assert len(set(kept)) == len(kept)
    assert start(background, tree, kept_in).wait() == 0
    assert shard_digests(tree) == shard_digests(undisturbed)
    files = json.loads((tree / "data/shards/shards.json").read_text())["files"]
    assert files == {name: digest for name, digest in shard_digests(tree).items() if name.endswith(".npy")}
    assert not (tree / "data/.shards.tmp").exists()


POINTS = [
    *encode.FAILPOINTS,
    *stage.FAILPOINTS,
    *store.FAILPOINTS,
    *(f"{name}:{point}" for name in ("index.parquet", "shards.json") for point in REPLACING),
]


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_place_the_next_run_gives_equal_shard_digests(
    tmp_path: Path, make_tree: Callable[..., Path], rows: list[dict[str, Any]], killed: Killed, point: str
) -> None:
    undisturbed, tree = make_tree(tmp_path / "one", rows), make_tree(tmp_path / "two", rows)
    assert killed(tree, point, _preprocess)
    if (tree / "data/shards").exists():
        assert Shards.open(tree / "data/shards")
    for place in (tree, undisturbed):
        with chdir(place), pytest.MonkeyPatch.context() as patch:
            patch.setenv("ROADSEG_HOME", str(place / "home"))
            _preprocess()
    assert shard_digests(tree) == shard_digests(undisturbed)


def _preprocess() -> None:
    stage.run(preprocess=stage.PreprocessParams(height=32, width=48, aspect="stretch", tile=0))


def entries(home: Path) -> int:
    return len(list(home.glob("reuse/shards/[0-9a-f]*/entry.json")))


def _wait_for_entries(running: "subprocess.Popen[bytes]", home: Path, count: int) -> None:
    while running.poll() is None and entries(home) < count:
        time.sleep(0.005)
