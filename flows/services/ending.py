"""How `make down` ends runs: cancelled, so that Prefect knows it and trainers write their checkpoints."""

import sys
import time

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling

from flows.services.alive import runs_at_work

PATIENCE = 35.0  # seconds: a stage has 20 to end, Prefect gives its flow 30
AT_WORK = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
WHY = "`make down`; the next run goes on from what this one left"


def end_runs(env: dict[str, str]) -> None:
    """Take no new runs, cancel those at work in the pool, and wait until they have ended.

    A server that does not answer is no reason to go on: the runs follow their worker, and are reconciled later.
    """
    pool = env["ROADSEG_POOL"]
    try:
        with temporary_settings({PREFECT_API_URL: env["PREFECT_API_URL"]}), get_client(sync_client=True) as client:
            client.update_work_pool(pool, WorkPoolUpdate(is_paused=True))  # `make up` lets it go on
            _cancel(client, pool)
    except Exception as error:
        print(f"the runs are not cancelled: {type(error).__name__}: {error}", file=sys.stderr)


def _cancel(client: SyncPrefectClient, pool: str) -> None:
    told, deadline = set(), time.monotonic() + PATIENCE
    while (runs := _at_work(client, pool)) and time.monotonic() < deadline:
        for run in runs:
            if run.id not in told:
                print(f"ending {run.name} ...", flush=True)
                told.add(run.id)
                client.set_flow_run_state(run.id, Cancelling(message=WHY))
        time.sleep(0.5)


def _at_work(client: SyncPrefectClient, pool: str) -> list[FlowRun]:
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=AT_WORK))),
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])),
    )


def wait_for_processes() -> None:
    """Wait until no process of a run is left; where some do not end, say so."""
    deadline = time.monotonic() + PATIENCE
    while (left := runs_at_work()) and time.monotonic() < deadline:
        time.sleep(0.2)
    for run in sorted(left):
        print(f"run {run} still has a process", file=sys.stderr)
