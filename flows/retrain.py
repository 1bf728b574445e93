"""The retraining flow: data sources, a task per stage of dvc.yaml, then publish, register, promote.

`python -m flows.retrain` works in the tree it is started in.
"""

import os
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    from flows.ready import make_ready

    make_ready()

from prefect import flow, get_run_logger, task
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.log import leave_out_tracebacks
from flows.pages import link_decision, link_pages, report_refusal
from flows.services.alive import hold
from flows.services.reconcile import reconcile_runs
from flows.services.server import prefect_server
from flows.stages import StageFailed, commit_sources, run_stage
from roadseg.contracts.errors import REFUSED, Busy
from roadseg.contracts.files import home
from roadseg.gate.decision import Decision
from roadseg.pipeline.environment import settle
from roadseg.pipeline.git import GitState, git_state
from roadseg.pipeline.graph import read_graph, sources
from roadseg.tracking.outage import told
from roadseg.tracking.published import Published


@flow(name="retrain", log_prints=False)
def retrain() -> Decision | State[Any]:
    """Bring the graph up to date, put the result into MLflow, and let the gate decide.

    Ends Completed, named Skipped, where another run or `dvc repro` works on the same files.
    """
    tree = Path.cwd()
    os.environ["ROADSEG_HOME"] = str(home())  # one home for this process and every stage
    settle()  # a worker has started this process
    leave_out_tracebacks()
    get_run_logger().info("tree %s, home %s", tree, home())
    hold(str(flow_run.id))
    for line in reconcile_runs():
        get_run_logger().warning("%s", line)
    try:
        return _bring_up_to_date(tree)
    except Busy as busy:
        get_run_logger().warning("%s", busy)
        return Completed(name="Skipped", message=str(busy))


def _bring_up_to_date(tree: Path) -> Decision:
    started_from = git_state(tree)  # people go on editing while it runs
    commit_sources(sources(tree), tree)
    for stage in read_graph(tree):
        try:
            run_stage(stage.name, tree)
        except StageFailed as failed:
            if stage.name == "validate" and failed.exit_code == REFUSED:
                report_refusal(tree)
            raise
    published = publish(tree, started_from)
    version = register(published)
    return promote(version)


@task(task_run_name="publish")
def publish(tree: Path, started_from: GitState) -> Published:
    """Send to MLflow what it lacks of this training and evaluation."""
    from roadseg.tracking.publish import publish as send  # late: MLflow and Keras load in seconds

    published = send(tree, started_from)
    get_run_logger().info("MLflow run %s, val mIoU %.4f", published.run_id, published.miou)
    link_pages(tree, published)
    return published


@task(task_run_name="register")
def register(published: Published) -> int:
    """Register the model; the same training and evaluation stays the same version."""
    from roadseg.registry.card import write_card
    from roadseg.registry.versions import register as enter

    version = enter(published)
    write_card(str(version))
    get_run_logger().info("version %d", version)
    return version


@task(task_run_name="promote")
def promote(version: int) -> Decision:
    """Ask the gate; HOLD and REJECT are results, not failures."""
    from roadseg.registry.promote import promote as decide_and_move

    decision = decide_and_move(version, reason="flow retrain")
    get_run_logger().info("%s", decision)
    link_decision(Path.cwd(), decision)
    return decision


def run_once() -> Decision:
    """Run the flow in this process, with the configured server or one of its own.

    Raises:
        Busy: another run works here.
        RoadsegError: a stage failed, or a server did.
    """
    with prefect_server(home() / "prefect-server.log"):
        state = retrain(return_state=True)
        if state.name == "Skipped":
            raise Busy(state.message or "another run works here")
        decision = state.result()
    assert isinstance(decision, Decision)
    return decision


def main() -> None:
    """Run the flow once; ends with the exit code of the stage that failed, 5 where another run works here, or 0."""
    try:
        run_once()
    except Exception as error:
        if (line := told(error)) is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(line.exit_code)


if __name__ == "__main__":
    main()
