"""What becomes of a question whose run died, was cancelled or had no answer, by way of the deployment reconcile."""

import time
from uuid import UUID

import pytest
from boards import YES, Board
from prefect.states import Cancelled, Crashed

from flows import questions
from flows.reconcile import reconcile
from roadseg.registry import ledger, question
from roadseg.workspace.records import find_record, write_record


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
