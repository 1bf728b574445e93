"""Approval against a real Prefect server: each pass of a run is a call, as a worker would make it in a process."""

import shutil
from pathlib import Path
from uuid import UUID

import pytest
import yaml
from boards import YES, Board
from contenders import BETTER
from PIL import Image

from flows import turn
from flows.predict import predict
from flows.reproduce import reproduce
from flows.rollback import rollback
from roadseg.contracts.files import home
from roadseg.registry import ledger
from roadseg.registry.rebuild import reproduce as rebuilding
from roadseg.registry.rebuild.compare import Comparison
from roadseg.registry.versions import MODEL
from roadseg.workspace.lock import Holder, present_holder, workspace_lock
from roadseg.workspace.records import find_record


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
