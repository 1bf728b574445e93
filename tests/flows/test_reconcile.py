"""Runs whose processes are dead, against a real server of Prefect: what the reconciler ends and what it leaves."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import State, StateDetails, StateType
from prefect.states import Completed, Failed

from flows.services import reconcile, retention, unrecorded
from flows.services.alive import RUN_VARIABLE, known_runs, life
from flows.services.reconcile import reconcile_runs
from roadseg.workspace.records import RunRecord, find_record, read_records, records_folder, write_record

POOL = "roadseg"
HOLD = "import sys, time; from flows.services.alive import hold; hold(sys.argv[1]); time.sleep(600)"


@pytest.fixture
def client(prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncPrefectClient]:
    monkeypatch.setenv("ROADSEG_POOL", POOL)
    monkeypatch.setattr(reconcile, "AGAIN", 0.1)
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    said: list[tuple[str, str]] = []
    monkeypatch.setattr(reconcile, "tell", lambda kind, title, **_: said.append((kind, title)))
    return said


def make_run(client: SyncPrefectClient, kind: StateType, flow_name: str = "anything", **details: object) -> UUID:
    """A run of the pool in a state."""
    try:
        client.read_work_pool(POOL)
    except Exception:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    flow_id = client.create_flow_from_name(flow_name)
    deployment = client.create_deployment(flow_id, f"d{os.urandom(4).hex()}", work_pool_name=POOL)
    run = client.create_flow_run_from_deployment(deployment, parameters={"word": "again"})
    state = State(type=kind, state_details=StateDetails.model_validate(details))
    client.set_flow_run_state(run.id, state, force=True)
    return run.id


def name_of(client: SyncPrefectClient, run: UUID) -> str:
    return client.read_flow_run(run).state_name or ""


def holding(background: Callable[..., subprocess.Popen[bytes]], run: UUID) -> subprocess.Popen[bytes]:
    """A process that holds the run's lock."""
    process = background([sys.executable, "-c", HOLD, str(run)])
    while life(str(run), ()) != "alive":
        time.sleep(0.05)
    return process


def test_a_run_is_crashed_when_its_process_is_dead_and_not_before(
    client: SyncPrefectClient, told: list[tuple[str, str]], background: Callable[..., subprocess.Popen[bytes]]
) -> None:
    run, elsewhere = make_run(client, StateType.RUNNING), make_run(client, StateType.RUNNING)
    write_record(RunRecord(run=str(run), name="night"))
    process = holding(background, run)
    assert reconcile_runs() == []
    process.kill()
    process.wait()
    child = background(["sleep", "600"], env={**os.environ, RUN_VARIABLE: str(run)})  # a stage that still ends
    assert reconcile_runs() == []
    child.kill()
    child.wait()
    [line] = reconcile_runs()
    assert str(run) in line
    assert name_of(client, run) == "Crashed"
    assert name_of(client, elsewhere) == "Running"  # it never began in this home
    assert (find_record(str(run)).state, find_record(str(run)).ended is None) == ("Crashed", False)
    assert "goes on" in find_record(str(run)).problem
    assert [kind for kind, _ in told] == ["crashed"]
    assert known_runs() == []
    assert reconcile_runs() == []
    assert len(told) == 1


def test_what_a_dead_worker_took_or_was_ending_does_not_stay_so(
    client: SyncPrefectClient, told: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, ending = (make_run(client, StateType.PENDING) for _ in range(2))
    client.set_flow_run_state(ending, State(type=StateType.CANCELLING), force=True)
    started = datetime.now(UTC)
    fresh = make_run(client, StateType.PENDING)
    assert reconcile_runs() == []  # a worker may still make processes of them
    monkeypatch.setattr(reconcile, "UNCLAIMED", 0.0)
    monkeypatch.setattr(reconcile, "_worker_started", lambda: started)
    lines = reconcile_runs()
    assert len(lines) == 2, lines
    assert [name_of(client, run) for run in (taken, fresh, ending)] == ["Crashed", "Pending", "Cancelled"]
    assert [kind for kind, _ in told] == ["crashed"]


def test_a_question_that_nobody_can_answer_is_asked_again(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "UNCLAIMED", 0.0)
    keys = {name: f"suspended-promotion-{name}" for name in ("schema", "response")}
    mute, asked = (make_run(client, StateType.PAUSED, run_input_keyset=keys) for _ in range(2))
    client.create_flow_run_input(asked, keys["schema"], "{}")
    reconcile_runs()
    assert [name_of(client, run) for run in (mute, asked)] == ["Cancelled", "Paused"]
    deployment = client.read_flow_run(mute).deployment_id
    runs = [run for run in client.read_flow_runs() if run.deployment_id == deployment]
    assert {run.state_name for run in runs} == {"Cancelled", "Scheduled"}
    assert all(run.parameters == {"word": "again"} for run in runs)


def test_late_looks_are_dropped_and_other_late_runs_are_not(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = {name: make_run(client, StateType.SCHEDULED, flow_name=name) for name in ("reconcile", "retrain")}
    reconcile_runs()
    assert set(late.values()) <= {run.id for run in client.read_flow_runs()}  # a worker may take it yet
    monkeypatch.setattr(reconcile, "UNCLAIMED", 0.0)
    reconcile_runs()
    left = {run.id for run in client.read_flow_runs()}
    assert (late["reconcile"] in left, late["retrain"] in left) == (False, True)


def test_a_record_says_how_a_run_ended_that_could_not_write_it(
    client: SyncPrefectClient, told: list[tuple[str, str]]
) -> None:
    run, asks = (make_run(client, StateType.RUNNING) for _ in range(2))
    write_record(RunRecord(run=str(run), state="Interrupted", ended=1.0))
    write_record(RunRecord(run=str(asks), state="Suspended"))
    for each in (run, asks):
        (records_folder() / f"{each}.lock").touch()
        client.set_flow_run_state(each, State(type=StateType.CANCELLED, message="by hand"), force=True)
    reconcile_runs()
    assert (
        find_record(str(asks)).state == "Cancelled"
    )  # its question is in the ledger, where `flows.questions` closes it
    assert known_runs() == []
    assert (find_record(str(run)).state, find_record(str(run)).problem) == ("Cancelled", "by hand")
    assert told == []


def test_a_server_that_is_away_ends_no_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**_: object) -> None:
        raise ConnectionError("away")

    monkeypatch.setattr(reconcile, "get_client", away)
    assert reconcile_runs() == ["the runs are not reconciled: ConnectionError: away"]


def test_old_runs_are_deleted_but_for_those_that_the_ledger_names(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, old = (ended_run(client) for _ in range(2))
    time.sleep(1)
    then = datetime.now(UTC)
    new = ended_run(client)
    monkeypatch.setattr(retention, "KEPT", datetime.now(UTC) - then)
    monkeypatch.setattr(retention, "named_by_ledger", lambda: {named})
    assert len(retention.clean(POOL)) == 1
    left = {run.id for run in client.read_flow_runs()}
    assert {named, new} <= left
    assert old not in left
    assert retention.clean(POOL) == []  # once a day


def test_old_records_of_runs_that_found_nothing_are_deleted_and_no_others(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, old = uuid4(), time.time() - retention.KEPT.total_seconds() - 1
    decided = {"state": "Skipped", "decision": {"outcome": "HOLD"}}
    said = {
        str(named): {"state": "Skipped"},
        **{word.lower(): {"state": word} for word in ("Skipped", "Known", "Taken", "Failed", "Completed")},
        **{
            "decided": decided,
            "final": {"state": "Skipped", "final": True},
            "new": {"state": "Skipped", "ended": None},
        },
        "branch": {"state": "Known", "branch": "roadseg/data"},
    }
    for run, fields in said.items():
        started = time.time() if run == "new" else old
        write_record(RunRecord.model_validate({"run": run, "started": started, "ended": started} | fields))
        (records_folder() / run).mkdir()
    monkeypatch.setattr(retention, "named_by_ledger", lambda: {named})
    [line] = retention.clean(POOL)
    assert line.endswith("and 2 records")
    assert {record.run for record in read_records()} == said.keys() - {"skipped", "known"}
    assert {path.name for path in records_folder().iterdir() if path.is_dir()} == said.keys() - {"skipped", "known"}


def test_runs_that_only_look_after_others_go_within_the_hour_unless_they_failed(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "named_by_ledger", set)
    retention.clean(POOL)  # what is deleted once a day has been
    well, badly = (ended_run(client, reconcile.OWN, state) for state in (Completed(), Failed()))
    other = ended_run(client)
    retention.clean(POOL)
    assert {well, badly, other} <= {run.id for run in client.read_flow_runs()}
    time.sleep(1)
    monkeypatch.setattr(retention, "KEPT_OWN", timedelta(seconds=0.5))
    retention.clean(POOL)
    left = {run.id for run in client.read_flow_runs()}
    assert well not in left
    assert {badly, other} <= left


def test_a_run_that_failed_before_its_flow_began_is_recorded_and_told_of_once(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(unrecorded, "tell", lambda kind, title, **more: said.append(f"{kind} {title}: {more}"))
    run = ended_run(client, "monitor", Failed(message="unexpected keyword argument 'fodler'"))
    ended_run(client, reconcile.OWN, Failed())
    lines = [reconcile_runs(), reconcile_runs()]
    assert [len([line for line in each if str(run) in line]) for each in lines] == [1, 0]
    record = find_record(str(run))
    assert (record.deployment, record.state, record.ended is None) == ("monitor", "Failed", False)
    assert "fodler" in record.problem
    [told] = [each for each in said if "monitor" in each]
    assert told.startswith("failed monitor: ")
    assert "fodler" in told
    assert not [each for each in said if reconcile.OWN in each]


def ended_run(client: SyncPrefectClient, flow_name: str = "anything", state: State | None = None) -> UUID:
    run = make_run(client, StateType.RUNNING, flow_name)
    client.set_flow_run_state(run, state or Completed(), force=True)
    return run
