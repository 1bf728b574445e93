"""`kill -9` of a stage, of dvc or of the flow, in each stage: nothing works on, and the rerun gives equal weights.

A few cases here; all of them, also with SHELL=/bin/sh, by `make soak`.
"""

import itertools
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from held import allow
from middles import STAGES, wait_for_middle, wait_for_nothing, weights
from trees import command_environment, run

VICTIMS = ["stage", "dvc", "flow"]
QUICK = {("train", "flow", "/bin/sh"), ("evaluate", "dvc", "/bin/bash")}
CASES = [
    pytest.param(*case, marks=[] if case in QUICK else [pytest.mark.soak])
    for case in itertools.product(STAGES, VICTIMS, ["/bin/bash", "/bin/sh"])
]


@pytest.mark.parametrize(("stage", "victim", "shell"), CASES)
def test_a_kill_leaves_nothing_at_work_and_the_rerun_gives_equal_weights(
    before: Callable[[str], Path],
    finished: Path,
    with_stores: Callable[[Path], Path],
    tmp_path: Path,
    background: Callable[..., subprocess.Popen[bytes]],
    stage: str,
    victim: str,
    shell: str,
) -> None:
    checkout = with_stores(Path(shutil.copytree(before(stage), tmp_path / "tree", symlinks=True)))
    allow(checkout / ".roadseg", 1)
    environment = command_environment(checkout, SHELL=shell)
    with (checkout.parent / "flow.log").open("wb") as log:
        flow = background(["python", "-m", "flows.retrain"], cwd=checkout, env=environment, stdout=log, stderr=log)
    processes = wait_for_middle(checkout, stage, lambda: flow.poll() is None) | {"flow": psutil.Process(flow.pid)}
    processes[victim].kill()
    wait_for_nothing(checkout, 10)
    assert flow.wait() != 0
    allow(checkout / ".roadseg", 2)
    run(checkout, "dvc", "repro", "-q", SHELL=shell)
    assert weights(checkout) == weights(finished)
