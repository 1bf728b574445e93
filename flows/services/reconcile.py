"""Ends, in Prefect, runs whose processes are dead: nobody else does, and such a run is Running for ever.

The truth is in home: the lock that each run's process holds, and the processes themselves (`alive`). What Prefect says
is made to agree.
"""

import os
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

import psutil
from httpx import HTTPStatusError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelled, Crashed

from flows.services.alive import forget, known_runs, life, runs_at_work
from flows.services.engine import WORKER_VARIABLE
from flows.services.unrecorded import record_failures
from flows.tell import tell
from roadseg.workspace.records import RunRecord, read_record, records_folder, write_record

OWN = "reconcile"  # name of the flow that does this and nothing else
PAGE = 200  # runs in one answer of Prefect
AGAIN = 3.0  # seconds after which a run must look the same: one that ends right now says so itself
UNCLAIMED = 60.0  # seconds in which a worker makes a process of a run that it took, and a flow stores its question
OPEN = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING, StateType.PAUSED]
DEAD = (
    "no process of this run lives any more (killed, or the machine restarted); the next run goes on from what it left"
)
INTERRUPTED = "Interrupted"  # what a record says of a run that was told to stop, and did
MUTE = "its question was never stored, so nobody could answer; it is asked again"


def reconcile_runs() -> list[str]:
    """End the runs of this home that are dead, and write into its records how they ended.

    Never raises: a server that is away is asked the next time.

    Returns:
        A line for each run that was ended.
    """
    try:
        with get_client(sync_client=True) as client:
            at_work = runs_at_work()
            suspects = [run for run in _open_runs(client) if _due(client, run, at_work)]
            if suspects:
                time.sleep(AGAIN)
                at_work = runs_at_work()
            lines = [line for run in suspects if (line := _end(client, run, at_work))]
            _settle(client, at_work)
            lines += record_failures(client, OWN)
            _drop_late(client)
    except Exception as error:
        return [f"the runs are not reconciled: {type(error).__name__}: {error}"]
    return lines


def _open_runs(client: SyncPrefectClient) -> list[FlowRun]:
    wanted = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=OPEN)))
    found: list[FlowRun] = []
    while page := client.read_flow_runs(flow_run_filter=wanted, limit=PAGE, offset=len(found)):
        found += page
    return found


def _due(client: SyncPrefectClient, run: FlowRun, at_work: set[str]) -> State[Any] | None:
    """The state in which the run should be; None where it is right as it is, or another's to judge."""
    state, living = run.state, life(str(run.id), at_work)
    if state is None or state.type not in OPEN or living == "alive":
        return None
    taken_here = run.work_pool_name == os.environ.get("ROADSEG_POOL", "")
    old = datetime.now(UTC) - state.timestamp > timedelta(seconds=UNCLAIMED)
    if state.type == StateType.PAUSED:  # as it should be, without a process
        return Cancelled(message=MUTE) if taken_here and old and _is_mute(client, run, state) else None
    if state.type == StateType.RUNNING and living == "dead":
        return Crashed(message=DEAD)
    lost = living == "dead" or (taken_here and old and state.timestamp < _worker_started())
    if state.type == StateType.CANCELLING and lost:
        return Cancelled(message=DEAD)
    # a lock tells nothing here: the run may have begun before, and have gone back to the queue
    never_begun = state.type == StateType.PENDING and taken_here and old and state.timestamp < _worker_started()
    return Crashed(message=DEAD) if never_begun else None


def _worker_started() -> datetime:
    """When the worker that takes runs now came to life; what was taken before is a dead one's."""
    with suppress(KeyError, psutil.NoSuchProcess):
        return datetime.fromtimestamp(psutil.Process(int(os.environ[WORKER_VARIABLE])).create_time(), UTC)
    return datetime.now(UTC) - timedelta(minutes=10)


def _is_mute(client: SyncPrefectClient, run: FlowRun, state: State[Any]) -> bool:
    """Whether a suspended run waits for an answer to a form that is not there: it died before it stored that."""
    keys = state.state_details.run_input_keyset
    if not keys:
        return False
    try:
        client.read_flow_run_input(run.id, keys["schema"])
    except HTTPStatusError as error:
        if error.response.status_code != HTTPStatus.NOT_FOUND:
            raise
        return True
    return False


def _end(client: SyncPrefectClient, before: FlowRun, at_work: set[str]) -> str:
    run = client.read_flow_run(before.id)
    if run.state_id != before.state_id or not (due := _due(client, run, at_work)):
        return ""
    client.set_flow_run_state(run.id, due, force=True)
    _end_tasks(client, run.id, due)
    if due.message == MUTE and run.deployment_id:
        client.create_flow_run_from_deployment(run.deployment_id, parameters=run.parameters)
    if due.type == StateType.CRASHED and not (records_folder() / f"{run.id}.json").exists():  # it never began
        tell("crashed", run.name, reason=DEAD)
    return f"run {run.name} ({run.id}) was {before.state_name} and is {due.name} now: {due.message}"


def _end_tasks(client: SyncPrefectClient, run: UUID, due: State[Any]) -> None:
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
    running = TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING]))
    for task in client.read_task_runs(flow_run_filter=of_run, task_run_filter=TaskRunFilter(state=running)):
        client.set_task_run_state(task.id, due, force=True)


def _settle(client: SyncPrefectClient, at_work: set[str]) -> None:
    """Write into home how runs ended that could not do it themselves, tell of crashes, and forget the locks of all.

    What a run has asked people is in the ledger, and `flows.questions` closes it there, whatever the record says.
    """
    free = [UUID(run) for run in known_runs() if life(run, at_work) == "dead"]  # a run's lock stays until this is done
    for at in range(0, len(free), PAGE):
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=free[at : at + PAGE]))
        for run in client.read_flow_runs(flow_run_filter=wanted, limit=PAGE):
            if run.state is None or not run.state.is_final() or life(str(run.id), at_work) == "alive":
                continue
            if (record := read_record(str(run.id))) and (record.ended is None or record.state == INTERRUPTED):
                _write_end(record, run, run.state)
            forget(str(run.id))


def _write_end(record: RunRecord, run: FlowRun, state: State[Any]) -> None:
    why = state.message or state.name or ""
    write_record(record.model_copy(update={"state": state.name, "ended": state.timestamp.timestamp(), "problem": why}))
    if state.type == StateType.CRASHED:
        tell("crashed", f"{record.deployment}: {run.name}", reason=why, link=record.url)


def _drop_late(client: SyncPrefectClient) -> None:
    """Delete the late runs that would only do this again: an outage leaves one for every five minutes."""
    late = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=datetime.now(UTC) - timedelta(seconds=UNCLAIMED)),
    )
    own, pool = FlowFilter(name=FlowFilterName(any_=[OWN])), os.environ.get("ROADSEG_POOL", "")
    for run in client.read_flow_runs(flow_filter=own, flow_run_filter=late, limit=PAGE):
        if run.work_pool_name == pool:
            client.delete_flow_run(run.id)
