"""`kill -9` of a stage, of dvc or of the flow, in each stage: nothing works on, and the rerun gives equal weights.

A few cases here; all of them, also with SHELL=/bin/sh, by `make soak`.
"""

import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psutil
import pytest
from held import allow
from trees import change_params, command_environment, command_of, hold_training, run, working_in

STAGES = ["scan", "validate", "preprocess", "train", "evaluate"]
VICTIMS = ["stage", "dvc", "flow"]
QUICK = {("train", "flow", "/bin/sh"), ("evaluate", "dvc", "/bin/bash")}
CASES = [
    pytest.param(*case, marks=[] if case in QUICK else [pytest.mark.soak])
    for case in itertools.product(STAGES, VICTIMS, ["/bin/bash", "/bin/sh"])
]


def crowd(tree: Path) -> None:
    """Many more images without masks, so that scan and preprocess have a middle and the weights stay the same."""
    for image in sorted((tree / "data/raw/leftImg8bit/test").rglob("*.jpg")):
        for number in range(150):
            shutil.copy(image, image.with_name(f"{number:06d}{image.name}"))


@pytest.fixture(scope="session")
def before(imported: Path, finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A checkout in which all that comes before a stage has run; made once."""

    @cache
    def made(stage: str) -> Path:
        done = finished if stage in {"train", "evaluate"} else imported
        tree = Path(shutil.copytree(done, tmp_path_factory.mktemp(stage) / "tree", symlinks=True))
        if stage == "evaluate":
            change_params(tree, {"evaluate": {"batch": 3}})
            return tree
        if stage == "train":
            hold_training(tree)  # so that it runs again, and has a middle
            shutil.rmtree(tree / ".roadseg/runs")
            return tree
        if stage in {"scan", "preprocess"}:
            crowd(tree)
        for earlier in STAGES[: STAGES.index(stage)]:
            run(tree, "dvc", "repro", "-q", earlier)
        shutil.rmtree(tree / ".roadseg", ignore_errors=True)
        return tree

    return made


def wait_for_middle(tree: Path, stage: str, flow: subprocess.Popen[bytes]) -> dict[str, psutil.Process]:
    """Wait until the stage is at work, as long as the flow lives; its process and DVC's."""
    while flow.poll() is None:
        for process in working_in(tree):
            if command_of(process).endswith(f"-m roadseg {stage}"):
                dvc = process.parent()  # of a pool's worker it is the stage
                if dvc and f"--single-item {stage}" in command_of(dvc) and in_the_middle(tree, stage, process):
                    return {"stage": process, "dvc": dvc}
        time.sleep(0.05)
    raise AssertionError(f"{stage} never came to work")


def in_the_middle(tree: Path, stage: str, process: psutil.Process) -> bool:
    try:
        if stage in {"scan", "preprocess"}:  # the pool is at work
            return bool(process.children())
        if stage == "train":  # the first epoch is over
            return any('"metric"' in path.read_text() for path in (tree / ".roadseg/runs").glob("*/journal.jsonl"))
        spent = process.cpu_times()  # the imports are over
        return spent.user + spent.system > 3
    except psutil.NoSuchProcess:
        return False


def weights(tree: Path) -> str:
    return str(json.loads((tree / "models/bundle/card.json").read_text())["weights"])


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
    processes = wait_for_middle(checkout, stage, flow) | {"flow": psutil.Process(flow.pid)}
    processes[victim].kill()
    deadline = time.monotonic() + 10
    while working_in(checkout) and time.monotonic() < deadline:
        flow.poll()
        time.sleep(0.1)
    assert [command_of(process) for process in working_in(checkout)] == []
    assert flow.wait() != 0
    allow(checkout / ".roadseg", 2)
    run(checkout, "dvc", "repro", "-q", SHELL=shell)
    assert weights(checkout) == weights(finished)
