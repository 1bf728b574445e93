"""Approval against a real Prefect server: each pass of a run is a call, as a worker would make it in a process."""

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from contenders import BETTER, GOOD, Contenders, change_policy, score_here, val_tree
from PIL import Image
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.states import Cancelled
from servers import ask as http
from trees import ROOT, run

from flows.asking import answer_overdue
from flows.predict import predict
from flows.promote import promote
from flows.reproduce import reproduce
from flows.rollback import rollback
from roadseg.contracts.files import home
from roadseg.registry import decision_page, ledger, question
from roadseg.registry import rollback as rollback_module
from roadseg.registry.evidence import gather, query, rescore
from roadseg.registry.rebuild import reproduce as rebuilding
from roadseg.registry.rebuild.compare import Comparison
from roadseg.registry.versions import CHAMPION, MODEL, version_at
from roadseg.tracking.store import connect
from roadseg.workspace.lock import Holder, present_holder, workspace_lock
from roadseg.workspace.records import find_record


def kept_by_dvc(tree: Path) -> None:
    """Put data/ into DVC's cache and name it in dvc.lock, as DVC would; nothing else of it stays."""
    objects = tree / ".dvc/cache/files/md5"

    def keep(content: bytes, end: str = "") -> str:
        md5 = hashlib.md5(content).hexdigest() + end
        (objects / md5[:2]).mkdir(parents=True, exist_ok=True)
        (objects / md5[:2] / md5[2:]).write_bytes(content)
        return md5

    files = sorted((tree / "data/raw").iterdir())
    listed = [{"md5": keep(path.read_bytes()), "relpath": path.name} for path in files]
    raw = {"path": "data/raw", "md5": keep(json.dumps(listed).encode(), ".dir")}
    manifest = {"path": "data/manifest.parquet", "md5": keep((tree / "data/manifest.parquet").read_bytes())}
    lock = {"stages": {"scan": {"deps": [raw]}, "validate": {"outs": [manifest]}}}
    (tree / "dvc.lock").write_text(yaml.safe_dump(lock))


class Board:
    """A repository, two models in a registry, and deployments in Prefect."""

    kept: Path

    def __init__(self, contenders: Contenders, prefect: SyncPrefectClient) -> None:
        self.contenders, self.client, self.prefect = contenders, contenders.client, prefect
        self.flows: dict[UUID, Flow[Any, Any]] = {}

    def enter(self, favour: float, scoring: str = "") -> int:
        version = self.contenders.enter(favour, scoring=scoring)
        self.client.log_artifact(self.contenders.entered[version].run_id, str(self.contenders.tree / "dvc.lock"))
        return version

    def policy(self, **changes: Any) -> None:
        change_policy(self.contenders.tree, **changes)
        run(self.contenders.tree, "git", "commit", "-qam", "policy")

    def start(self, flow: Flow[Any, Any] = promote, /, **parameters: Any) -> UUID:
        """A run of the flow's deployment, through its first pass."""
        flow_id = self.prefect.create_flow_from_name(flow.name)
        deployment = self.prefect.create_deployment(flow_id, flow.name)
        made = self.prefect.create_flow_run_from_deployment(deployment, parameters=parameters)
        self.flows[made.id] = flow
        self.go_on(made.id)
        return made.id

    def go_on(self, run_id: UUID) -> FlowRun:
        """A pass in this process, as a worker makes it in one that knows nothing of the pass before."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PREFECT__FLOW_RUN_ID", str(run_id))
            found = self.prefect.read_flow_run(run_id)
            with suppress(Pause):
                run_flow(self.flows[run_id], flow_run=found, parameters=found.parameters, return_type="state")
        return self.prefect.read_flow_run(run_id)

    def answer(self, run_id: UUID, **fields: str) -> str:
        """Give an answer as the page does; what the server says of it."""
        url = f"{self.prefect.api_url}flow_runs/{run_id}/resume"
        return str(http(str(url), {"run_input": fields})["status"])

    def told(self) -> list[tuple[str, str, str | None]]:
        """Kind, decision and answer of each entry of the ledger, the oldest first."""
        entries = reversed(ledger.ledger_entries(self.client))
        return [(each.kind, each.tags["decision"], each.tags.get(question.ANSWER)) for each in entries]

    @property
    def champion(self) -> int | None:
        return version_at(self.client, CHAMPION)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contenders")


@pytest.fixture
def board(
    empty_store: Path, tmp_path: Path, made: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Board]:
    tree = val_tree(tmp_path / "tree")
    shutil.copy2(ROOT / "dvc.yaml", tree)
    kept_by_dvc(tree)
    run(tree, "git", "init", "-q", "-b", "main")
    run(tree, "git", "add", "params.yaml", "dvc.yaml")
    run(tree, "git", "commit", "-qm", "begin")
    monkeypatch.chdir(tree)
    for module in (gather, rollback_module):
        monkeypatch.setattr(module, "query", lambda *paths: query.load_and_ask(*paths, *[None] * (3 - len(paths))))
    monkeypatch.setattr(rescore, "ask", score_here)
    monkeypatch.setattr(decision_page, "ask", lambda *_, **__: None)
    (home() / "mlflow").mkdir(parents=True)
    shutil.copy2(empty_store, home() / "mlflow")
    with get_client(sync_client=True) as prefect:
        board = Board(Contenders(connect(), tree, made), prefect)
        board.enter(GOOD)
        board.enter(BETTER)
        board.kept = shutil.move(tree / "data", tmp_path / "data")  # what the gate reads is in DVC's cache
        yield board


def test_without_approval_the_gate_decides_and_no_person_is_asked(board: Board) -> None:
    first = board.start(version=1)
    assert board.prefect.read_flow_run(first).name == "promoted v1"
    last = board.start(reason="better recipe", requester="ann")
    assert board.champion == 2
    assert board.told() == [("promote", "PROMOTE", None)] * 2
    entry = ledger.ledger_entries(board.client)[0]
    assert (entry.tags["requester"], entry.tags["why"], entry.tags["flow_run"]) == ("ann", "better recipe", str(last))
    assert {"decision.json", "decision.html"} <= {path.name for path in (home() / "flows" / str(last)).iterdir()}
    assert not (board.contenders.tree / "reports").exists()


YES = {"decision": "promote", "reason": "looks right at night", "approver": "bea"}


@pytest.fixture
def asked(board: Board) -> UUID:
    """A run that asks about version 2; version 1 is champion."""
    board.start(version=1)
    board.policy(approval=True)
    return board.start(version=2, requester="ann", reason="weekly")


def test_a_yes_promotes_after_the_question_stood_in_ledger_and_form(board: Board, asked: UUID) -> None:
    state = board.prefect.read_flow_run(asked).state
    assert state
    assert (state.name, board.champion) == ("Suspended", 1)
    assert board.told()[1:] == [("asked", "HOLD", None)]
    entry = ledger.ledger_entries(board.client)[0]
    assert (entry.tags["requester"], entry.tags["flow_run"], entry.tags["candidate"]) == ("ann", str(asked), "2")
    assert "approver" not in entry.tags
    said = form(board, asked, "description")
    assert "# Is version 2 to be champion?" in said
    assert "`better: mIoU" in said
    assert f"On this machine: `{home()}/flows/{asked}/decision.html`" in said
    assert "would promote version 2" in (home() / f"flows/{asked}/decision.html").read_text()
    for fields in ({}, YES | {"approver": " "}, YES | {"reason": ""}, YES | {"decision": "no answer"}):
        assert board.answer(asked, **fields) == "REJECT"
    assert find_record(str(asked)).state == "Suspended"
    assert board.answer(asked, **YES) == "ACCEPT"
    ended = board.go_on(asked)
    assert (ended.state_name, ended.name[:11]) == ("Completed", "promoted v2")
    assert board.champion == 2
    assert board.told()[1:] == [("asked", "HOLD", "promote"), ("promote", "PROMOTE", None)]
    entry = ledger.ledger_entries(board.client)[0]
    assert (entry.tags["requester"], entry.tags["approver"], entry.tags["why"]) == ("ann", "bea", "weekly")
    assert find_record(str(asked)).outcome == "PROMOTE"


@pytest.mark.parametrize(("word", "outcome"), [("reject", "REJECT"), ("keep on hold", "HOLD")])
def test_a_no_is_in_the_ledger_with_its_reason_and_moves_nothing(
    board: Board, asked: UUID, word: str, outcome: str
) -> None:
    assert board.answer(asked, **YES | {"decision": word}) == "ACCEPT"
    board.go_on(asked)
    assert board.champion == 1
    assert board.told()[1:] == [("asked", "HOLD", word), ("promote", outcome, None)]
    entry = ledger.ledger_entries(board.client)[0]
    assert (entry.tags["approver"], entry.tags["requester"]) == ("bea", "ann")
    assert "looks right at night" in entry.tags["reasons"]
    tags = board.client.get_model_version(MODEL, "2").tags
    assert (tags["decision"], tags["decision.who"]) == (outcome, "bea")


def test_without_an_answer_in_time_it_stays_on_hold_and_the_ledger_says_so(board: Board) -> None:
    board.policy(approval=True)
    patient, hasty = board.start(version=1), board.start(version=2, answer_days=1e-6)
    time.sleep(1)
    [line] = answer_overdue()
    assert "it goes on" in line
    assert board.prefect.read_flow_run(patient).state_name == "Suspended"
    board.go_on(hasty)
    assert answer_overdue() == []
    assert board.told() == [("asked", "HOLD", None), ("asked", "HOLD", "no answer"), ("promote", "HOLD", None)]
    entry = ledger.ledger_entries(board.client)[0]
    assert entry.tags["reasons"].startswith("nobody answered in time")
    assert "approver" not in entry.tags
    assert board.champion is None


def test_a_yes_to_what_is_no_longer_so_asks_again_and_one_against_the_gate_moves_nothing(
    board: Board, asked: UUID
) -> None:
    board.answer(asked, **YES)
    board.policy(gain=0.001)
    assert board.go_on(asked).state_name == "Suspended"
    assert board.told()[1:] == [("asked", "HOLD", "asked again"), ("asked", "HOLD", None)]
    assert board.champion == 1
    assert board.answer(asked, **YES) == "ACCEPT"
    board.policy(miou_min=0.999)
    assert board.go_on(asked).name[:11] == "rejected v2"
    assert board.champion == 1
    assert [outcome for _, outcome, _ in board.told()[1:]] == ["HOLD", "HOLD", "REJECT"]


def test_a_version_is_asked_about_once_and_a_cancelled_question_is_withdrawn(board: Board, asked: UUID) -> None:
    name = board.prefect.read_flow_run(asked).name
    second = board.prefect.read_flow_run(board.start(version=2))
    assert (second.state_name, second.name) == ("Skipped", f"skipped: version 2 is asked about already, by run {name}")
    board.prefect.set_flow_run_state(asked, Cancelled(), force=True)
    [line] = answer_overdue()
    assert "withdrawn" in line
    assert board.told()[1:] == [("asked", "HOLD", "withdrawn")]
    third = board.start(version=2)
    assert board.prefect.read_flow_run(third).state_name == "Suspended"


def test_where_a_model_must_be_scored_again_the_run_waits_for_whoever_trains(board: Board, tmp_path: Path) -> None:
    board.start(version=1)
    with workspace_lock(Holder("0", "retrain of the night", 1, 0.0)):
        assert board.prefect.read_flow_run(board.start(version=2)).name[:11] == "promoted v2"
        shutil.copytree(board.kept, board.contenders.tree / "data")
        version = board.enter(BETTER - 0.001, scoring="older")
        shutil.rmtree(board.contenders.tree / "data")
        waits = board.start(version=version)
        found = board.prefect.read_flow_run(waits)
        assert (found.state_name, "retrain of the night" in found.name) == ("Waiting", True)
    assert board.go_on(waits).state_name == "Completed"


def test_parameters_are_checked_by_the_flow_too(board: Board) -> None:
    ended = board.prefect.read_flow_run(board.start(version=0, answer_days=0))
    assert ended.state_name == "Failed"
    problem = find_record(str(ended.id)).problem
    assert "version: " in problem
    assert "answer_days: " in problem
    assert board.told() == []


def test_a_rollback_compares_counts_and_names_who_asked(board: Board, capsys: pytest.CaptureFixture[str]) -> None:
    board.start(version=1)
    board.start(version=2)
    ended = board.prefect.read_flow_run(board.start(rollback, reason="misses wet roads", requester="ann"))
    assert (ended.state_name, ended.name) == ("RolledBack", "rolled back v2 to v1")
    assert board.champion == 1
    entry = ledger.ledger_entries(board.client)[0]
    assert (entry.kind, entry.tags["who"], entry.tags["why"]) == ("rollback", "ann", "misses wet roads")
    assert "not compared" not in capsys.readouterr().err
    again = board.prefect.read_flow_run(board.start(rollback, reason="further"))
    assert (again.state_name, "no champion before version 1" in find_record(str(again.id)).problem) == ("Failed", True)


def test_a_prediction_writes_what_the_verb_writes_and_names_broken_pictures(board: Board, tmp_path: Path) -> None:
    board.start(version=1)
    pictures, out = tmp_path / "photos", tmp_path / "out"
    pictures.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 32), (128, 64, 128)).save(pictures / name)
    ended = board.prefect.read_flow_run(board.start(predict, source=str(pictures), out=str(out)))
    assert (ended.state_name, ended.name) == ("Predicted", "predicted 2 pictures")
    assert sorted(path.name for path in (out / "masks").iterdir()) == ["a.png", "b.png"]
    (pictures / "b.png").write_bytes(b"no picture")
    refused = board.prefect.read_flow_run(board.start(predict, source="../photos", out="../out"))
    assert (refused.state_name, refused.name) == ("Failed", "refused")
    assert "b.png" in find_record(str(refused.id)).problem


def test_a_rebuild_holds_the_workspace_and_fails_where_the_same_processor_gives_another_model(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def rebuild(model: str, into: Path | None) -> Comparison:
        seen.append((model, into, present_holder()))
        return Comparison(3, "w" * 64, 0.5, ("weights: other",) if model == "3" else (), (), ())

    monkeypatch.setattr(rebuilding, "rebuild", rebuild)
    with workspace_lock(Holder("0", "retrain of the night", 1, 0.0)):
        waits = board.prefect.read_flow_run(board.start(reproduce))
        assert waits.state_name == "Waiting"
        assert board.prefect.read_flow_run(board.start(reproduce, when_busy="skip")).state_name == "Skipped"
    assert seen == []
    ended = board.go_on(waits.id)
    assert (ended.state_name, ended.name) == ("Equal", "rebuilt equal v3")
    other = board.prefect.read_flow_run(board.start(reproduce, model="3", keep=True))
    assert (other.state_name, other.name) == ("Failed", "rebuilt, and differs: v3")
    assert [(model, into) for model, into, _ in seen] == [
        ("champion", None),
        ("3", home() / "flows" / str(other.id) / "rebuilt"),
    ]
    assert all(holder and "reproduce" in holder.name for _, _, holder in seen)


def form(board: Board, run_id: UUID, part: str) -> str:
    state = board.prefect.read_flow_run(run_id).state
    assert state
    keys = state.state_details.run_input_keyset
    assert keys
    return str(http(f"{board.prefect.api_url}flow_runs/{run_id}/input/{keys[part]}"))
