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
TAIL = 15  # lines of a failed stage that its error repeats


class StageFailed(RoadsegError):
    """A stage did not end well; carries the stage's own exit code."""

    def __init__(self, stage: str, exit_code: int, tail: str) -> None:
        """Say which stage, how it ended and what it printed last."""
        super().__init__(f"stage {stage} ended with {exit_code}; its last lines:\n{tail}")
        self.exit_code = exit_code


@task(task_run_name="data sources")
def commit_sources(paths: list[str], tree: Path) -> None:
    """Commit edited data to DVC's cache; `dvc repro --single-item` would let the edit pass it by."""
    if paths:
        _repro(["repro", *paths], tree, "data sources", {}, lambda said: None)


@task(task_run_name="{stage}")
def run_stage(
    stage: str, tree: Path, *, force: bool = False, line: Callable[[str], object] = lambda said: None
) -> State[Any]:
    """Run one stage through DVC in `tree`, its log streamed to this task.

    Ends Completed, named Ran or Cached, with the reason as message.

    Args:
        stage: its name.
        tree: the folder that holds dvc.yaml.
        force: run it although nothing changed, and whatever DVC's run cache has.
        line: is told each line that it prints.

    Raises:
        Busy: another process does this very work.
        StageFailed: with the stage's own exit code and the last lines it printed.
    """
    reasons = "; ".join(why(tree, stage)) or ("asked for" if force else "")
    repro = ["repro", "--single-item", *["--force"] * force, stage]
    with tempfile.TemporaryDirectory() as folder:
        receipt = Path(folder) / "receipt.json"  # only a stage command that really ran writes it
        tail, status = _repro(repro, tree, stage, {VARIABLE: str(receipt)}, line, check=False)
        left = read_receipt(receipt)
    if status and left and left["exit"] == BUSY:
        said = [line.removeprefix("error: ") for line in tail.splitlines() if line.startswith("error: ")]
        raise Busy(f"stage {stage}: {'; '.join(said)}")
    if status:
        raise StageFailed(stage, left["exit"] if left and left["exit"] != DONE else DEFECT, tail)
    if left:
        return Completed(name="Ran", message=reasons or "DVC ran it")
    return Completed(
        name="Cached", message=f"{reasons}: restored from DVC's run cache" if reasons else "nothing changed"
    )


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
