"""The deployment that looks after the others: ends what is dead, answers what nobody answered, deletes what is old."""

import os
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.questions import settle_questions
from flows.services.reconcile import reconcile_runs
from flows.services.retention import clean
from roadseg.pipeline.environment import settle
from roadseg.tracking.outage import told


@flow(name="reconcile", log_prints=False)
def reconcile() -> State[Any]:
    """End runs whose processes are dead, close or answer what they asked, and once a day delete what is old.

    `make up` lets it run every five minutes.
    """
    settle()
    lines = reconcile_runs() + settle_questions()
    try:
        lines += clean(os.environ.get("ROADSEG_POOL", ""))
    except Exception as error:
        if (known := told(error)) is None:
            raise
        lines.append(f"no old run is deleted: {known}")
    for line in lines:
        get_run_logger().warning("%s", line)
    return Completed(message="\n".join(lines) or "all is as Prefect says")
