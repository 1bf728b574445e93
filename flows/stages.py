"""The task that runs one stage, through DVC, so that both doors share cache, lock and order."""

import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from roadseg.contracts.errors import BUSY, DEFECT, DONE, Busy, RoadsegError
from roadseg.pipeline.dvc import WAITING, dvc_environment, refuse_busy
from roadseg.pipeline.graph import why
from roadseg.pipeline.process import stream
from roadseg.pipeline.receipt import VARIABLE, read_receipt

HINTS = ("To track the changes", "git add", "To enable auto staging", "dvc config", "Use `dvc push`")
NOTHING = "nothing changed"
TAIL = 15  # lines of a failed stage that its error repeats


class StageFailed(RoadsegError):
    """A stage did not end well; carries the stage's own exit code."""

    def __init__(self, stage: str, exit_code: int, tail: str) -> None:
        """Say which stage, how it ended and what it printed last."""
        super().__init__(f"stage {stage} ended with {exit_code}; its last lines:\n{tail}")
        self.exit_code = exit_code


@task(task_run_name="data sources")
def commit_sources(paths: list[str], tree: Path) -> State[Any]:
    """Commit edited data to DVC's cache; `dvc repro --single-item` would let the edit pass it by.

    Args:
        paths: the `.dvc` files of what was edited.
        tree: the folder that holds dvc.yaml.
    """
    if not paths:
        return Completed(name="Cached", message=NOTHING)
    _repro(["repro", *paths], tree, "data sources", {}, lambda said: None)
    return Completed(name="Ran", message=f"{', '.join(paths)} modified")


@task(task_run_name="{stage}")
def run_stage(
    stage: str,
    tree: Path,
    reasons: list[str] | None = None,
    *,
    force: bool = False,
    line: Callable[[str], object] = lambda said: None,
) -> State[Any]:
    """Run one stage through DVC in `tree`, its log streamed to this task.

    Ends Completed, named Ran or Cached, with the reason as message.

    Args:
        stage: its name.
        tree: the folder that holds dvc.yaml.
        reasons: why it has to run, where that is known, see `why_all`; without any it has not.
        force: run it although nothing changed, and whatever DVC's run cache has.
        line: is told each line that it prints.

    Raises:
        Busy: another process does this very work.
        StageFailed: with the stage's own exit code and the last lines it printed.
    """
    said = "; ".join(why(tree, stage) if reasons is None else reasons)
    if not (said or force):
        return Completed(name="Cached", message=NOTHING)
    repro = ["repro", "--single-item", *["--force"] * force, stage]
    with tempfile.TemporaryDirectory() as folder:
        receipt = Path(folder) / "receipt.json"  # only a stage command that really ran writes it
        tail, status = _repro(repro, tree, stage, {VARIABLE: str(receipt)}, line, check=False)
        left = read_receipt(receipt)
    if status and left and left["exit"] == BUSY:
        told = [each.removeprefix("error: ") for each in tail.splitlines() if each.startswith("error: ")]
        raise Busy(f"stage {stage}: {'; '.join(told)}")
    if status:
        raise StageFailed(stage, left["exit"] if left and left["exit"] != DONE else DEFECT, tail)
    if left:
        return Completed(name="Ran", message=said or "asked for")
    return Completed(name="Cached", message=f"{said}: restored from DVC's run cache")


def _repro(
    arguments: list[str],
    tree: Path,
    name: str,
    env: dict[str, str],
    told: Callable[[str], object],
    check: bool = True,
) -> tuple[str, int]:
    log, tail = get_run_logger(), deque[str](maxlen=TAIL)

    def line(said: str) -> None:
        if said.strip() and not said.lstrip().startswith(HINTS):
            tail.append(said)
            log.info("%s", said)
            told(said)

    status = stream([*WAITING, *arguments], cwd=tree, env=dvc_environment(env), line=line)
    if status:
        refuse_busy("\n".join(tail))
    if check and status:
        raise StageFailed(name, DEFECT, "\n".join(tail))
    return "\n".join(tail), status
