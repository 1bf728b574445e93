"""Deletes old runs of Prefect, and records in home that say nothing; those that the ledger names stay for ever.

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

from flows.services.alive import forget
from flows.services.reconcile import OWN, PAGE
from roadseg.contracts.files import home
from roadseg.workspace.records import delete_record, read_records

KEPT = timedelta(days=90)  # of a run; its record in home stays, but for those of `IDLE`
IDLE = {"Skipped", "Known"}  # states of runs that found nothing to do: an inbox is looked at each ten minutes
KEPT_OWN = timedelta(hours=1)  # of the runs that only looked after others: there are twelve an hour
EVERY = 24 * 3600.0  # seconds between two cleanings


def clean(pool: str) -> list[str]:
    """Delete the old runs of a work pool: once a day, and at once those that only looked after others and ended well.

    With them go the old records of runs that found nothing to do. Where MLflow does not answer, nothing is deleted that
    its ledger may name.

    Returns:
        A line where any were deleted.
    """
    stamp = home() / "services" / "cleaned"
    if not pool:
        return []
    with get_client(sync_client=True) as client:
        _delete(client, pool, KEPT_OWN, set(), own=True)
        if stamp.exists() and time.time() - stamp.stat().st_mtime < EVERY:
            return []
        spared = named_by_ledger()
        deleted, forgotten = _delete(client, pool, KEPT, spared), _delete_idle_records(spared)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.touch()
    return [f"{deleted} old runs are deleted, and {forgotten} records"] if deleted or forgotten else []


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


def _delete_idle_records(spared: set[UUID]) -> int:
    """Delete the old records that nothing is judged against, and that nobody can bring results of."""
    before, names = time.time() - KEPT.total_seconds(), {str(run) for run in spared}
    idle = [
        record
        for record in read_records()
        if record.state in IDLE
        and (record.ended or record.started) < before
        and not (record.decision or record.final or record.missing or record.version or record.branch)
        and record.run not in names
    ]
    for record in idle:
        delete_record(record.run)
        forget(record.run)
    return len(idle)
