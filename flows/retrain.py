"""The retraining flow: what changed, a task per stage of dvc.yaml, then publish, register, promote.

`python -m flows.retrain` works in the tree it is started in; a deployment works in the workspace in home.
"""

import sys
from typing import Any

if __name__ == "__main__":
    from flows.ready import make_ready

    make_ready()

import typer
from prefect import flow
from prefect.client.schemas.objects import State

from flows.options import AS_COMMITTED, Overrides, Reason, Requester, RetrainOptions, Revision, WhenBusy, check
from flows.run import recorded
from flows.services.server import prefect_server
from flows.turn import give_way
from flows.work import in_tree, in_workspace
from roadseg.contracts.errors import Busy
from roadseg.contracts.files import home
from roadseg.gate.decision import Decision
from roadseg.tracking.outage import told


@flow(name="retrain", log_prints=False, validate_parameters=False)  # checked in the flow, in one line
def retrain(
    revision: Revision = "",
    overrides: Overrides = AS_COMMITTED,
    reason: Reason = "",
    force: bool = False,
    when_busy: WhenBusy = "wait",
    requester: Requester = "",
) -> Decision | State[Any]:
    """Bring the graph up to date, put the result into MLflow, and let the gate decide.

    Args:
        revision: Branch, tag or commit to work on. Empty: the head of the branch that the checkout was on at `make up`,
            of its remote where it has one.
        overrides: Parameters that differ from those of the revision, for this run alone; they are committed with it.
        reason: Why you start it; at most 500 characters. It stands in the ledger.
        force: Run every stage although nothing changed, as after an update of packages.
        when_busy: What to do where another run works: wait (it starts by itself), skip, or replace (wait, and take the
            place of the runs of this deployment that wait).
        requester: Your name, which is recorded as the claim it is.
    """
    given = {
        "revision": revision,
        "overrides": overrides,
        "reason": reason,
        "force": force,
        "when_busy": when_busy,
        "requester": requester,
    }
    with recorded("retrain", requester=str(requester)) as run:
        asked = check(RetrainOptions, given)
        run.note(reason=asked.reason)
        if not run.deployed:
            return in_tree(run, asked)
        return give_way(run) or in_workspace(run, asked)


def run_once(*, force: bool = False, reason: str = "") -> Decision:
    """Run the flow in this process and tree, with the configured server or one of its own.

    Args:
        force: run every stage although nothing changed.
        reason: kept in the ledger.

    Returns:
        What the gate answered; where nothing changed, what it answered then.

    Raises:
        Busy: another run works here.
        RoadsegError: a stage failed, or a server did.
    """
    with prefect_server(home() / "prefect-server.log"):
        state = retrain(force=force, reason=reason, return_state=True)
        decision = state.result()
    if not isinstance(decision, Decision):
        raise Busy(state.message or "another run works here")
    return decision


def main(
    force: bool = typer.Option(False, "--force", help="Run every stage although nothing changed."),
    reason: str = typer.Option("", help="Kept in the ledger."),
) -> None:
    """Run the flow once in this tree; ends with the exit code of the stage that failed, 5 where another works, or 0."""
    try:
        print(run_once(force=force, reason=reason))
    except Exception as error:
        if (line := told(error)) is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        sys.exit(line.exit_code)


if __name__ == "__main__":
    typer.run(main)
