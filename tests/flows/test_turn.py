"""Whose turn it is, against a real server: who is woken, and which flows' late runs give way."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import ObjectAlreadyExists
from prefect.flow_engine import run_flow

from flows import turn
from flows.label import label
from flows.monitor import monitor
from flows.turn import wake_waiting, waking
from roadseg.workspace.lock import Held

Make = Callable[..., FlowRun]


@pytest.fixture
def client(prefect_api: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def make(client: SyncPrefectClient) -> Make:
    """Makes a run of a flow's deployment in a pool."""

    def made(flow_name: str, pool: str, **parameters: Any) -> FlowRun:
        with suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        deployment = client.create_deployment(client.create_flow_from_name(flow_name), flow_name, work_pool_name=pool)
        return client.create_flow_run_from_deployment(deployment, parameters=parameters)

    return made


def test_runs_of_this_homes_pool_are_woken_and_those_of_others_on_the_server_are_not(
    client: SyncPrefectClient, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROADSEG_POOL", "roadseg-mine")
    mine, other = (make(pool, pool).id for pool in ("roadseg-mine", "another-team"))
    for run in (mine, other):
        client.set_flow_run_state(run, turn._scheduled(timedelta(hours=1), "for somebody"), force=True)
    wake_waiting()

    def waits(run: UUID) -> bool:
        due = client.read_flow_run(run).next_scheduled_start_time
        assert due
        return due > datetime.now(UTC) + timedelta(minutes=5)

    assert (waits(mine), waits(other)) == (False, True)
    assert client.read_flow_run(mine).state_name == "Waiting"


def test_whoever_held_it_wakes_others_also_where_it_failed_and_who_did_not_get_it_wakes_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    woken = list[str]()
    monkeypatch.setattr(turn, "wake_waiting", lambda: woken.append("look"))
    with suppress(KeyboardInterrupt), waking(nullcontext("tree")) as held:
        assert held == "tree"
        raise KeyboardInterrupt
    assert woken == ["look"]

    class Taken(nullcontext[None]):
        def __enter__(self) -> None:
            raise Held(None)

    with suppress(Held), waking(Taken()):
        pass
    assert woken == ["look"]


@pytest.mark.parametrize("flow", [label, monitor], ids=lambda flow: flow.name)
def test_late_runs_of_what_a_schedule_starts_give_way_to_the_newest(
    client: SyncPrefectClient,
    make: Make,
    prefect_database: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    flow: Flow[Any, Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"folder": str(tmp_path)} if flow is monitor else {}
    first, second, newest = (make(flow.name, "roadseg", **given) for _ in range(3))
    with closing(sqlite3.connect(prefect_database, timeout=30)) as database, database:
        for number, late in enumerate((first, second, newest), 1):  # as the schedule makes them
            due = f"2026-01-0{number} 03:00:00.000000"
            database.execute(
                "update flow_run set auto_scheduled = 1, expected_start_time = ? where id = ?", (due, str(late.id))
            )
    state = run_flow(flow, flow_run=client.read_flow_run(first.id), parameters=given, return_type="state")
    assert state.name == "Skipped"
    assert str(state.message).startswith(f"{newest.name}, due at 2026-01-03 ")
    assert [client.read_flow_run(run.id).state_name for run in (second, newest)] == ["Skipped", "Scheduled"]
