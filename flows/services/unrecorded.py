"""Runs that Prefect ended before their flow began, as for a parameter that the flow does not have: none tells of it.

Prefect checks the names of parameters against the signature in the run's own process, after the server let them pass,
since nothing checks those of a schedule or of an automation before.
"""

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, StateType

from flows.tell import tell
from roadseg.workspace.records import RunRecord, records_folder, write_record

LOOKED_BACK = timedelta(days=1)
MOST = 50  # runs in one look


def record_failures(client: SyncPrefectClient, own: str) -> list[str]:
    """Write a record of each failed run of this home's pool that has none, and tell people of it, once.

    Args:
        client: of the server.
        own: name of the flow that only looks after others: it keeps no record.

    Returns:
        A line for each run.
    """
    pool, since = os.environ.get("ROADSEG_POOL", ""), datetime.now(UTC) - LOOKED_BACK
    if not pool:
        return []
    failed = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.FAILED])),
            end_time=FlowRunFilterEndTime(after_=since),
        ),
        work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])),
        limit=MOST,
    )
    unknown = [run for run in failed if not (records_folder() / f"{run.id}.json").exists()]
    flows = {flow: client.read_flow(flow).name for flow in {run.flow_id for run in unknown}}
    return [_record(run, flows[run.flow_id]) for run in unknown if flows[run.flow_id] != own]


def _record(run: FlowRun, flow: str) -> str:
    why = (run.state and run.state.message) or "Prefect does not say why"
    times: dict[str, Any] = {"ended": run.end_time.timestamp() if run.end_time else None}
    if run.start_time:
        times["started"] = run.start_time.timestamp()
    known = RunRecord(
        run=str(run.id), deployment=flow, name=f"failed: {run.name}", state="Failed", problem=why, **times
    )
    write_record(known)
    tell("failed", f"{flow}: {run.name} ended before it began", reason=why)
    return f"run {run.name} ({run.id}) of {flow} failed before it began: {why}"
