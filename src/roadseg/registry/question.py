"""Questions to people: a HOLD in the ledger that waits for somebody's word until a deadline, and what came of it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from mlflow import MlflowClient

from roadseg.contracts import paths
from roadseg.contracts.files import read_json, write_json
from roadseg.gate.decision import Decision, Outcome
from roadseg.registry import ledger
from roadseg.registry.alias import settle_moves, write_tags
from roadseg.registry.ledger import Entry

ANSWER, WHY = "answer", "answer.why"  # tags of a question that is over
Answered = Literal["promote", "reject", "keep on hold", "no answer", "asked again", "withdrawn"]


def open_questions(client: MlflowClient) -> list[Entry]:
    """Questions of which nobody has said how they ended, the newest first."""
    return [entry for entry in ledger.asked_entries(client) if ANSWER not in entry.tags]


def question_of(client: MlflowClient, flow_run: str) -> Entry | None:
    """The open question that a flow run asked; None where there is none."""
    return next((entry for entry in open_questions(client) if entry.tags.get("flow_run") == flow_run), None)


def asked_decision(client: MlflowClient, question: Entry) -> Decision:
    """What the gate answered before it was asked."""
    with TemporaryDirectory() as folder:
        kept = client.download_artifacts(question.run_id, paths.DECISION.name, folder)
        return Decision.from_json(read_json(Path(kept), "decision", "roadseg promote"))


def still_stands(question: Entry, decision: Decision) -> bool:
    """Whether a yes to the question is a yes to this decision: champion, evidence and policy are those asked about."""
    now = ledger.of_decision(decision, who="", why="")
    about = ("candidate", "champion", "evidence.candidate", "evidence.champion", "policy")
    return all(question.tags.get(key, "") == now[key] for key in about)


def end_question(client: MlflowClient, question: Entry, answer: Answered, by: str = "", why: str = "") -> Decision:
    """Write an answer that moves nothing into the ledger, as a decision of its own, and close the question.

    Args:
        client: of the store.
        question: open.
        answer: reject, keep on hold or no answer.
        by: who said so, as they claim; empty where nobody did.
        why: in their words.

    Returns:
        The decision: what was said first, then what the gate had said.
    """
    said = {
        "reject": f"{by} rejects it: {why}",
        "keep on hold": f"{by} keeps it on hold: {why}",
        "no answer": "nobody answered in time, so it stays on hold",
    }[answer]
    outcome: Outcome = "REJECT" if answer == "reject" else "HOLD"
    before = asked_decision(client, question)
    decision = replace(before, outcome=outcome, reasons=(said, *before.reasons))
    if not ledger.answers_to(client, question):  # else a run died before it closed the question
        asker = question.tags.get("requester", "")
        tags = ledger.of_decision(decision, who=asker, why=why or question.tags.get("why", ""), approver=by)
        entry = ledger.record(client, tags | {"question": question.run_id})
        with TemporaryDirectory() as folder:
            path = Path(folder, paths.DECISION.name)
            write_json(path, "decision", decision.to_json())
            client.log_artifact(entry.run_id, str(path))
        write_tags(client, tags["candidate"], tags)
    close_question(client, question, answer, by)
    return decision


def what_came_of(client: MlflowClient, question: Entry) -> tuple[Answered, str] | None:
    """What a run did on an answer and died before it closed the question; a move that it began is settled first.

    Returns:
        How to close the question, and who had answered; None where the ledger has nothing that came of it.

    Raises:
        Busy: another process of this home moves the alias.
    """
    for entry in ledger.answers_to(client, question):
        by = entry.tags.get("approver", "")
        if entry.tags["decision"] == "REJECT":
            return "reject", by
        return ("keep on hold" if by else "no answer"), by
    settle_moves(client)
    later = [
        entry
        for entry in ledger.entries_of(client, question.tags["flow_run"])
        if entry.started > question.started and entry.tags.get("state") in (None, ledger.DONE)
    ]
    if not later:
        return None
    first = later[-1]  # what came after that is of another question
    return ("asked again" if first.kind == ledger.ASKED else "promote"), first.tags.get("approver", "")


def close_question(client: MlflowClient, question: Entry, answer: Answered, by: str = "", why: str = "") -> None:
    """Say how a question ended."""
    told: Mapping[str, str] = {WHY: why, "approver": by, ANSWER: answer}  # the answer last: with it it is over
    for name, value in told.items():
        if value:
            client.set_tag(question.run_id, name, value[: ledger.LONGEST])
