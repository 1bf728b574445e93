"""Approval against a real Prefect server: each pass of a run is a call, as a worker would make it in a process."""

import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import yaml
from boards import Board
from contenders import BETTER, score_here
from PIL import Image
from prefect.client.orchestration import get_client
from prefect.states import Cancelled, Crashed

from flows import questions, turn
from flows.predict import predict
from flows.reconcile import reconcile
from flows.reproduce import reproduce
from flows.rollback import rollback
from roadseg.contracts.files import home
from roadseg.registry import decision_page, ledger, question
from roadseg.registry import rollback as rollback_module
from roadseg.registry.evidence import gather, query, rescore
from roadseg.registry.rebuild import reproduce as rebuilding
from roadseg.registry.rebuild.compare import Comparison
from roadseg.registry.versions import MODEL
from roadseg.workspace.lock import Holder, present_holder, workspace_lock
from roadseg.workspace.records import find_record, write_record


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contenders")


@pytest.fixture
def board(
    empty_store: Path, tmp_path: Path, made: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Board]:
    monkeypatch.setattr(rescore, "ask", score_here)
    monkeypatch.setattr(decision_page, "ask", lambda *_, **__: None)
    for module in (gather, rollback_module):
        monkeypatch.setattr(module, "query", lambda *paths: query.load_and_ask(*paths, *[None] * (3 - len(paths))))
    monkeypatch.setattr(turn, "SOON", timedelta(milliseconds=1))  # a run that waits is not due before
    (tmp_path / "tree").mkdir()
    monkeypatch.chdir(tmp_path / "tree")
    with get_client(sync_client=True) as prefect:
        yield Board(tmp_path, made, empty_store, prefect)


@pytest.fixture(autouse=True)
def withdrawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What people are told of questions that came to naught."""
    said: list[str] = []
    monkeypatch.setattr(questions, "tell", lambda kind, title, *, reason: said.append(f"{kind}: {title}: {reason}"))
    return said


def look_after() -> list[str]:
    """What the deployment reconcile says of what it did."""
    said = str(reconcile(return_state=True).message)
    return [] if said == "all is as Prefect says" else said.splitlines()


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
    said = board.form(asked, "description")
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
    [line] = look_after()
    assert "it goes on" in line
    assert board.prefect.read_flow_run(patient).state_name == "Suspended"
    board.go_on(hasty)
    assert look_after() == []
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


def test_a_run_that_was_killed_before_its_record_says_that_it_waits_has_its_deadline_too(board: Board) -> None:
    board.policy(approval=True)
    killed = board.start(version=2, answer_days=1e-6, requester="ann")
    write_record(find_record(str(killed)).model_copy(update={"state": "Running"}))
    time.sleep(1)
    [line] = look_after()
    assert "it goes on" in line
    assert find_record(str(killed)).state == "Suspended"
    write_record(find_record(str(killed)).model_copy(update={"state": "Running"}))
    board.go_on(killed)
    assert board.told() == [("asked", "HOLD", "no answer"), ("promote", "HOLD", None)]
    record = find_record(str(killed))
    assert (record.state, record.version, record.outcome) == ("Completed", 2, "HOLD")


def test_a_yes_whose_run_died_over_it_is_withdrawn_with_the_reason_and_people_are_told_to_start_again(
    board: Board, asked: UUID, withdrawn: list[str]
) -> None:
    assert board.answer(asked, **YES) == "ACCEPT"
    board.prefect.set_flow_run_state(asked, Crashed(message="the machine restarted"), force=True)
    [line] = look_after()
    assert board.told()[1:] == [("asked", "HOLD", "withdrawn")]
    entry = ledger.ledger_entries(board.client)[0]
    why = entry.tags[question.WHY]
    assert "is Crashed (the machine restarted); bea had answered promote: looks right at night" in why
    assert entry.tags["approver"] == "bea"
    assert line == find_record(str(asked)).problem == f"the question about version 2 is withdrawn: {why}"
    [said] = withdrawn
    assert said == (
        f"withdrawn: the question about version 2: {why}. Nothing has moved: start promote again for version 2."
    )
    assert look_after() == []
    assert board.champion == 1
    assert board.prefect.read_flow_run(board.start(version=2)).state_name == "Suspended"


@pytest.mark.parametrize(
    ("word", "ledger_says", "champion"),
    [
        ("promote", [("asked", "HOLD", "promote"), ("promote", "PROMOTE", None)], 2),
        ("reject", [("asked", "HOLD", "reject"), ("promote", "REJECT", None)], 1),
        ("promote to what is no longer so", [("asked", "HOLD", "asked again"), ("asked", "HOLD", "withdrawn")], 1),
    ],
)
def test_where_a_run_dies_after_it_did_what_the_answer_says_the_question_ends_by_that_answer(
    board: Board,
    asked: UUID,
    withdrawn: list[str],
    monkeypatch: pytest.MonkeyPatch,
    word: str,
    ledger_says: list[tuple[str, str, str | None]],
    champion: int,
) -> None:
    def die(*_: object) -> None:
        raise RuntimeError("killed")

    decision, _, changed = word.partition(" ")
    board.answer(asked, **YES | {"decision": decision})
    if changed:
        board.policy(gain=0.001)
    with monkeypatch.context() as patch:
        patch.setattr(question, "close_question", die)
        assert board.go_on(asked).state_name == "Failed"
    assert [answer for _, _, answer in board.told()] == [None] * 3
    look_after()
    assert board.told()[1:] == ledger_says
    assert board.champion == champion
    assert len(withdrawn) == (champion == 1 and bool(changed))


def test_a_version_is_asked_about_once_and_a_cancelled_question_is_withdrawn(
    board: Board, asked: UUID, withdrawn: list[str]
) -> None:
    name = board.prefect.read_flow_run(asked).name
    second = board.prefect.read_flow_run(board.start(version=2))
    assert (second.state_name, second.name) == ("Skipped", f"skipped: version 2 is asked about already, by run {name}")
    board.prefect.set_flow_run_state(asked, Cancelled(), force=True)
    [line] = look_after()
    assert "withdrawn" in line
    assert board.told()[1:] == [("asked", "HOLD", "withdrawn")]
    assert "is Cancelled; nobody had answered" in ledger.ledger_entries(board.client)[0].tags[question.WHY]
    assert (find_record(str(asked)).state, len(withdrawn)) == ("Cancelled", 1)
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


def test_what_the_cache_lacks_holds_the_gate_and_is_named(board: Board) -> None:
    lock = yaml.safe_load((board.contenders.tree / "dvc.lock").read_text())
    md5 = lock["stages"]["validate"]["outs"][0]["md5"]
    (board.contenders.tree / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    held = board.prefect.read_flow_run(board.start(version=1))
    assert held.name == "held v1 for want of evidence"
    record = find_record(str(held.id))
    assert f"data/manifest.parquet (md5 {md5}) is not in DVC's cache" in record.problem
    assert record.missing


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
    assert entry.tags["flow_run"] == str(ended.id)
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
    woken = list[str]()
    monkeypatch.setattr(turn, "wake_waiting", lambda: woken.append("look"))
    ended = board.go_on(waits.id)
    assert (ended.state_name, ended.name) == ("Equal", "rebuilt equal v3")
    other = board.prefect.read_flow_run(board.start(reproduce, model="3", keep=True))
    assert (other.state_name, other.name) == ("Failed", "rebuilt, and differs: v3")
    assert woken == ["look"] * 2, "also after a failure"
    assert [(model, into) for model, into, _ in seen] == [
        ("champion", None),
        ("3", home() / "flows" / str(other.id) / "rebuilt"),
    ]
    assert all(holder and "reproduce" in holder.name for _, _, holder in seen)
