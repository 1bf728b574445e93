"""Whose turn it is: late runs collapse into the newest, and a run that finds the workspace in use waits, or does not.

The lock of the workspace is the truth about who works; a run that waits is back in Prefect's queue and has no process.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.states import Cancelled, Completed, Scheduled

from flows.options import WhenBusy
from flows.run import Run, ended
from roadseg.contracts.errors import Busy
from roadseg.workspace.lock import Held, workspace_lock
from roadseg.workspace.tree import workspace

T = TypeVar("T")
WAITING = "Waiting"  # name of the state of a run that is in the queue until the workspace is free
SOON, PATIENCE = timedelta(seconds=15), timedelta(minutes=5)  # until a waiting run looks again; whoever ends wakes it
STARTING = timedelta(minutes=2)  # a run that has been about to start for longer has lost its worker
COMMENTS = {"reason", "requester"}  # parameters that change nothing of what a run does
MOST = 200  # runs that are looked at


def in_the_way(busy: Busy) -> str:
    """Who works, in words for `yield_to`."""
    return str(busy.holder or "another run") if isinstance(busy, Held) else str(busy)


def give_way(run: Run) -> State[Any] | None:
    """Skip a run that nobody asked for by hand where a newer one with the same parameters is due.

    An outage leaves one run for each date that the schedule had: the newest of them is enough.

    Returns:
        The state to end with; None where it is this run's turn.
    """
    me = _flow_run()
    if me.deployment_id is None or not _automatic(me):
        return None
    with get_client(sync_client=True) as client:
        due = [other for other in _due(client, me) if _same(me, other)]
        newest = next((other for other in due if _may_work(other)), me)
        if newest.id != me.id and newest.state_type == StateType.PENDING:
            _back_to_queue(client, run, SOON, f"for {newest.name}, which is about to start")
        for other in due:
            if other.state_type == StateType.SCHEDULED and _since(other) < _since(newest):
                client.set_flow_run_state(other.id, Completed(name="Skipped", message=_instead(newest)), force=True)
    return skipped(run, _instead(newest), "a newer run takes its place") if newest.id != me.id else None


def yield_to(run: Run, holder: str, when_busy: WhenBusy) -> State[Any]:
    """Do what the run was told to do where another one works.

    Args:
        run: this one.
        holder: who works there, in words.
        when_busy: wait without a process, skip, or take the place of the runs of this deployment that wait.

    Returns:
        The state to end with.

    Raises:
        Pause: it waits; Prefect starts it again.
    """
    me = _flow_run()
    if when_busy == "skip" or me.deployment_id is None:
        return skipped(run, f"in the way: {holder}")
    with get_client(sync_client=True) as client:
        if when_busy == "replace":
            same = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[me.deployment_id]), state=_is_waiting())
            for other in client.read_flow_runs(flow_run_filter=same, limit=MOST):
                if other.id != me.id:
                    client.set_flow_run_state(other.id, Cancelled(message=f"{me.name} takes its place"), force=True)
        delay = min(PATIENCE, SOON * 2 ** min(me.run_count, 8))  # each look costs a process
        return _back_to_queue(client, run, delay, f"for {holder}")


@contextmanager
def hold_workspace(run: Run, commit: str) -> Iterator[Path]:
    """Hold the workspace, at a commit; the runs that wait look when it is free, however this one ends.

    Raises:
        Held: another run holds it.
        UsageError: see `workspace`.
    """
    with waking(workspace(run.repository, commit, run.holder, run.warn)) as tree:
        yield tree


@contextmanager
def waking(holding: AbstractContextManager[T]) -> Iterator[T]:
    """Hold what others wait for, and let them look once it is given back, also by a run that fails or is told to stop.

    Who does not get it wakes nobody: two that wait would wake each other without end.
    """
    held = False
    try:
        with holding as what:
            held = True
            yield what
    finally:
        if held:
            wake_waiting()


@contextmanager
def working_alone(run: Run) -> Iterator[None]:
    """While no other run of this home trains or scores; those that wait look when it is over.

    Raises:
        Held: one does.
    """
    with waking(workspace_lock(run.holder)):
        yield


def wake_waiting() -> None:
    """Let the runs of this home's pool that wait look now: the workspace is free. Else they look within minutes."""
    if not (pool := os.environ.get("ROADSEG_POOL")):  # of a person's terminal, where the end is waited for
        return
    ours = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))  # others share the server
    wanted = FlowRunFilter(state=_is_waiting())
    try:
        with get_client(sync_client=True) as client:
            for other in client.read_flow_runs(flow_run_filter=wanted, work_pool_filter=ours, limit=MOST):
                message = (other.state and other.state.message) or ""
                client.set_flow_run_state(other.id, _scheduled(timedelta(), message))
    except Exception as error:
        get_run_logger().warning("runs that wait are not woken: %s: %s", type(error).__name__, error)


def skipped(run: Run, why: str, name: str = "") -> State[Any]:
    """End as one that had nothing to do; the name says why in a few words."""
    get_run_logger().info("skipped: %s", why)
    run.note(state="Skipped")
    run.name_it(f"skipped: {name or why}")
    return ended("Skipped", why)


def _flow_run() -> FlowRun:
    context = FlowRunContext.get()
    assert context, "call it in a flow"
    assert context.flow_run
    return context.flow_run


def _due(client: SyncPrefectClient, me: FlowRun) -> list[FlowRun]:
    """The other runs of the deployment that are due and may still work or have, the newest first."""
    kinds = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.COMPLETED]
    wanted = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[me.deployment_id]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=kinds)),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC)),
    )
    found = client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=MOST)
    return [other for other in found if other.id != me.id]


def _is_waiting() -> FlowRunFilterState:
    return FlowRunFilterState(
        type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]), name=FlowRunFilterStateName(any_=[WAITING])
    )


def _automatic(one: FlowRun) -> bool:
    """Whether a schedule or an event made it."""
    return one.auto_scheduled or bool(one.created_by and one.created_by.type == "AUTOMATION")


def _same(me: FlowRun, other: FlowRun) -> bool:
    """Whether the other would do, or did, what this run is to do, and later."""
    asked = [{key: value for key, value in one.parameters.items() if key not in COMMENTS} for one in (me, other)]
    return _automatic(other) and asked[0] == asked[1]


def _may_work(other: FlowRun) -> bool:
    """Whether it is newer than this run and sure to work, or has worked."""
    if _since(other) <= _since(_flow_run()):
        return False
    known = other.state.timestamp if other.state else None
    return other.state_type != StateType.PENDING or known is None or datetime.now(UTC) - known < STARTING


def _since(one: FlowRun) -> datetime:
    return one.expected_start_time or datetime.min.replace(tzinfo=UTC)


def _instead(newest: FlowRun) -> str:
    return f"{newest.name}, due at {_since(newest).astimezone():%Y-%m-%d %H:%M}, takes this run's place"


def _back_to_queue(client: SyncPrefectClient, run: Run, delay: timedelta, why: str) -> NoReturn:
    """Give up the process until later; the state says what for.

    Raises:
        Pause: always, which ends the flow's process without an end of the run.
    """
    run.name_it(f"waits {why}", so_far=True)
    state = _scheduled(delay, f"{why}; looks again in {delay.seconds} s at the latest")
    client.set_flow_run_state(run.id, state, force=True)
    raise Pause(state=state)


def _scheduled(delay: timedelta, why: str) -> State[Any]:
    later: State[Any] = Scheduled(scheduled_time=datetime.now(UTC) + delay)
    return later.model_copy(update={"name": WAITING, "message": why})
