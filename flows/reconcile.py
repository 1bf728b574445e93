"""The deployment that looks after the others: every few minutes it ends what is dead and deletes what is old."""

from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.services.reconcile import reconcile_runs
from roadseg.pipeline.environment import settle


@flow(name="reconcile", log_prints=False)
def reconcile() -> State[Any]:
    """End runs whose processes are dead, and delete what is old; `make up` starts it every five minutes."""
    settle()
    lines = reconcile_runs()
    for line in lines:
        get_run_logger().warning("%s", line)
    return Completed(message="\n".join(lines) or "all is as Prefect says")
