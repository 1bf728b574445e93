"""The benchmark for GPUs goes on where its last call ended, and runs whole on a CPU too."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from trees import ROOT

from benchmarks.gpu import INTERRUPTED, Progress
from roadseg.synthetic.dataset import generate


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    assert Progress(tmp_path, 60).once("work", "__import__('os').getpid()") == Progress(tmp_path, 60).once("work", "1")


def test_when_the_time_is_over_the_work_is_ended_and_the_next_call_does_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        Progress(tmp_path, 1).once("work", "__import__('time').sleep(600)")
    assert ended.value.code == INTERRUPTED
    assert "run the same command again" in capsys.readouterr().err
    assert Progress(tmp_path, 60).once("work", "[1, 2]") == [1, 2]


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_the_whole_runs_on_a_cpu_and_a_second_call_repeats_nothing(tmp_path: Path) -> None:
    generate(tmp_path / "scenes", train=24, val=4, test=0, seed=0)
    options = ["--folder", str(tmp_path / "run"), "--model", "small", "--height", "32", "--width", "64", "--side", "32"]
    options += ["--tutorial-batch", "2", "--batch", "4", "--train", '{"epochs": 2, "monitor": 0.2}']
    command = [sys.executable, "-m", "benchmarks.gpu", str(tmp_path / "scenes"), *options]
    said = [subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout for _ in range(2)]
    assert said[0] == said[1]
    assert 0 < json.loads(said[0])["miou"] < 1
