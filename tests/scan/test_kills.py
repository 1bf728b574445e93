"""A scan is killed at every named place and at random; the next one gives the bytes of an undisturbed one."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
from trees import scan_params

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import REPLACING
from roadseg.scan import remember, stage

POINTS = [*remember.FAILPOINTS, *(f"scan.parquet:{point}" for point in REPLACING)]
RUN = """
import time
from trees import scan_params
from roadseg.scan import describe, stage
describe.SAVE_EACH = 10
stage.write_manifest = lambda *_: time.sleep(600)  # so that no machine is too fast to be killed
stage.run(scan=scan_params())
"""


@pytest.fixture
def make_tree(tmp_path: Path, scenes: Path, idd_level1: ClassTable) -> Callable[[str], Path]:
    def made(name: str) -> Path:
        tree = tmp_path / name
        shutil.copytree(scenes, tree / "data/raw")
        idd_level1.write(tree / "data/classes.yaml")
        return tree

    return made


def scan(tree: Path, home: str = "home") -> bytes:
    with chdir(tree), pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROADSEG_HOME", str(tree / home))
        stage.run(scan=scan_params())
    return (tree / "data/scan.parquet").read_bytes()


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_place_the_next_scan_gives_equal_bytes(
    make_tree: Callable[[str], Path], killed: Callable[[Path, str, Callable[[], None]], bool], point: str
) -> None:
    tree = make_tree("tree")
    assert killed(tree, point, lambda: stage.run(scan=scan_params()))
    assert scan(tree) == scan(make_tree("undisturbed"))


def test_killed_at_random_the_next_scan_gives_equal_bytes(
    make_tree: Callable[[str], Path], background: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    tree, undisturbed, chance = make_tree("tree"), scan(make_tree("undisturbed")), random.Random(5)
    for number in range(6):
        env = {**os.environ, "ROADSEG_HOME": str(tree / f"home-{number}"), "PYTHONPATH": os.pathsep.join(sys.path)}
        running = background([sys.executable, "-c", RUN], cwd=tree, env=env, stdout=subprocess.DEVNULL)
        _wait_for_work(running)
        time.sleep(chance.uniform(0, 0.3))
        running.send_signal(signal.SIGKILL)
        assert running.wait() == -signal.SIGKILL
        assert scan(tree, f"home-{number}") == undisturbed


def _wait_for_work(running: "subprocess.Popen[bytes]") -> None:
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    while running.poll() is None and not children.read_text():  # the pool is at work
        time.sleep(0.005)
