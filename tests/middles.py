"""Stages in their middle: checkouts in which a stage is next and takes a while, and how to see it at work."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from trees import change_params, command_of, hold_training, run, working_in

STAGES = ["scan", "validate", "preprocess", "train", "evaluate"]


def make_before(stage: str, imported: Path, finished: Path, tree: Path) -> Path:
    """A checkout in which all that comes before a stage has run."""
    shutil.copytree(finished if stage in {"train", "evaluate"} else imported, tree, symlinks=True)
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


def crowd(tree: Path) -> None:
    """Many more images without masks, so that scan and preprocess have a middle and the weights stay the same."""
    for image in sorted((tree / "data/raw/leftImg8bit/test").rglob("*.jpg")):
        for number in range(150):
            shutil.copy(image, image.with_name(f"{number:06d}{image.name}"))


def wait_for_middle(tree: Path, stage: str, goes_on: Callable[[], bool]) -> dict[str, psutil.Process]:
    """Wait until the stage is at work, as long as what started it goes on; its process and DVC's."""
    while goes_on():
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


def wait_for_nothing(tree: Path, seconds: float, beside: Callable[[psutil.Process], bool] = lambda _: False) -> None:
    """Wait until no process works in the tree, but for those that may; else say which do."""
    deadline = time.monotonic() + seconds
    while (left := [process for process in working_in(tree) if not beside(process)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [command_of(process) for process in left] == []


def weights(tree: Path) -> str:
    return str(json.loads((tree / "models/bundle/card.json").read_text())["weights"])
