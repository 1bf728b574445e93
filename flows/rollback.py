"""The deployment `rollback`: bring an earlier champion back."""

from contextlib import chdir
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.judging import val_tree
from flows.options import Group, Requester, Version, check
from flows.run import Run, ended, recorded
from flows.tell import tell

Why = Annotated[str, Field(min_length=3, max_length=500)]


class RollbackOptions(Group):
    """What `rollback` can be told; the flow's signature has the same fields."""

    reason: Why
    to: Version | None = None
    requester: Requester = ""


@flow(name="rollback", log_prints=True, validate_parameters=False)  # checked in the flow, in one line
def rollback(reason: Why, to: Version | None = None, requester: Requester = "") -> State[Any]:
    """Load and ask an earlier champion, then move the alias to it; it is not promoted away again while nothing changes.

    Args:
        reason: Why, 3 to 500 characters. It stands in the ledger, and is shown where the version that was left wins.
        to: Version to bring back, from 1; none: the champion before the present one.
        requester: Your name, which is recorded as the claim it is.
    """
    with recorded("rollback", requester=str(requester)) as run:
        options = check(RollbackOptions, {"reason": reason, "to": to, "requester": requester})
        run.note(reason=options.reason)
        return _move(run, options)


def _move(run: Run, options: RollbackOptions) -> State[Any]:
    from roadseg.registry.rollback import find_ends, roll_back  # late: MLflow loads in seconds
    from roadseg.tracking.store import connect

    _, target = find_ends(connect(), options.to)
    with val_tree(run, target) as tree, chdir(tree):
        before, now = roll_back(target, reason=options.reason, requester=options.requester)
    said = f"version {now} is champion, version {before} was"
    run.note(version=now, outcome="ROLLBACK", final=True)
    run.name_it(f"rolled back v{before} to v{now}")
    tell("rolled back", said, reason=options.reason, link=run.record.url)
    run.announce(
        "roadseg.model.promoted", f"roadseg.model.{now}", version=now, reasons=options.reason, link=run.record.url
    )
    return ended("RolledBack", said)
