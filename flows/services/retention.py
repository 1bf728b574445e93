"""Deletes what is old of Prefect's runs, and spares those that the ledger names: they explain a champion for ever.

Prefect's own cleaning of runs knows no exception, so `make up` leaves it to the events and to what deleted runs leave.
"""

import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType

from flows.services.reconcile import OWN, PAGE
from roadseg.contracts.files import home

KEPT = timedelta(days=90)  # of a run; its record in home stays
KEPT_OWN = timedelta(hours=1)  # of the runs that only looked after others: there are twelve an hour
EVERY = 24 * 3600.0  # seconds between two cleanings


def clean(pool: str) -> list[str]:
    """Delete the old runs of a work pool: once a day, and at once those that only looked after others and ended well.

    Where MLflow does not answer, nothing is deleted that its ledger may name.

    Returns:
        A line where runs were deleted.
    """
    stamp = home() / "services" / "cleaned"
    if not pool:
        return []
    with get_client(sync_client=True) as client:
        _delete(client, pool, KEPT_OWN, set(), own=True)
        if stamp.exists() and time.time() - stamp.stat().st_mtime < EVERY:
            return []
        deleted = _delete(client, pool, KEPT, named_by_ledger())
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.touch()
    return [f"{deleted} old runs are deleted"] if deleted else []


def named_by_ledger() -> set[UUID]:
    """The runs that the ledger names.

    Raises:
        RoadsegError: MLflow does not answer.
    """
    from roadseg.registry.ledger import ledger_entries  # late: MLflow loads in seconds
    from roadseg.tracking.store import connect

    return {UUID(run) for entry in ledger_entries(connect()) if (run := entry.tags.get("flow_run"))}


def _delete(client: SyncPrefectClient, pool: str, kept: timedelta, spared: set[UUID], own: bool = False) -> int:
    count = 0
    wanted = FlowRunFilter(
        end_time=FlowRunFilterEndTime(before_=datetime.now(UTC) - kept),
        id=FlowRunFilterId(not_any_=sorted(spared)) if spared else None,
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.COMPLETED])) if own else None,
    )
    flows = FlowFilter(name=FlowFilterName(any_=[OWN])) if own else None
    pools = WorkPoolFilter(name=WorkPoolFilterName(any_=[pool]))
    while runs := client.read_flow_runs(flow_filter=flows, flow_run_filter=wanted, work_pool_filter=pools, limit=PAGE):
        for run in runs:
            client.delete_flow_run(run.id)
        count += len(runs)
    return count
