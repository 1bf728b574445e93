"""What follows the graph in a retraining: publish, register, and let the gate decide; each is a task."""

from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.client.schemas.objects import State

from flows.pages import link_decision, link_pages
from flows.run import Run
from roadseg.contracts import paths
from roadseg.contracts.errors import DEFECT
from roadseg.contracts.files import replacing
from roadseg.gate.decision import Decision
from roadseg.pipeline.git import GitState
from roadseg.tracking.outage import told
from roadseg.tracking.published import Published

PAUSES = [10.0, 60.0, 300.0]  # seconds before MLflow is asked again


def may_mend(_: object, __: object, state: State[Any]) -> bool:
    """Whether time may mend what went wrong: MLflow is away. What is wrong with files or parameters stays wrong."""
    line = told(state.data) if isinstance(state.data, BaseException) else None
    return line is not None and line.exit_code == DEFECT


@task(task_run_name="publish", retry_condition_fn=may_mend)
def publish(tree: Path, started_from: GitState) -> Published:
    """Send to MLflow what it lacks of this training and evaluation."""
    from roadseg.tracking.publish import publish as send  # late: MLflow and Keras load in seconds

    published = send(tree, started_from)
    get_run_logger().info("MLflow run %s, val mIoU %.4f", published.run_id, published.miou)
    link_pages(tree, published)
    return published


@task(task_run_name="register", retry_condition_fn=may_mend)
def register(published: Published) -> int:
    """Register the model; the same training and evaluation stays the same version."""
    from roadseg.registry.card import write_card
    from roadseg.registry.versions import register as enter

    version = enter(published)
    write_card(str(version))
    get_run_logger().info("version %d", version)
    return version


@task(task_run_name="promote")
def promote(version: int, reason: str, folder: Path) -> Decision:
    """Ask the gate, in the tree of the current directory; HOLD and REJECT are results, not failures.

    Args:
        version: to judge.
        reason: kept in the ledger.
        folder: of the run, in home; gets the decision and its page.
    """
    from roadseg.registry.promote import promote as decide_and_move

    decision = decide_and_move(version, reason=reason)
    get_run_logger().info("%s", decision)
    if decision.outcome != "CHAMPION ALREADY":
        keep_decision(folder)
        link_decision(folder, decision)
    return decision


def publish_and_judge(run: Run, tree: Path, started_from: GitState) -> Decision:
    """Put what the graph made into MLflow, and let the gate decide."""
    again = len(PAUSES) if run.deployed else 0  # somebody who waits at a terminal wants to know at once
    published = publish.with_options(retries=again, retry_delay_seconds=PAUSES)(tree, started_from)
    version = register.with_options(retries=again, retry_delay_seconds=PAUSES)(published)
    run.note(version=version)
    return promote(version, run.record.reason or "flow retrain", run.folder)


def keep_decision(folder: Path) -> None:
    """Copy what the gate left in the tree of the current directory to the run's folder."""
    for path in (paths.DECISION, paths.DECISION_PAGE):
        if path.exists():  # a page is none where ROADSEG_PAGES is off
            with replacing(folder / path.name) as temporary:
                temporary.write_bytes(path.read_bytes())
