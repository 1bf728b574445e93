"""Ask a person about a version on the run's page, for days and without a process."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from pydantic import Field

from flows.outcome import score_line
from flows.pages import with_places
from flows.run import SUSPENDED, Run
from flows.tell import tell
from roadseg.contracts import paths
from roadseg.gate.decision import Decision
from roadseg.pages.summary import decision_markdown
from roadseg.workspace.records import read_records, write_record

if TYPE_CHECKING:
    from roadseg.registry.ledger import Entry

NOBODY = "nobody"  # the approver in the answer that the deadline gives
DAY = 86400.0  # seconds
DAYS = 7.0  # until a question is over, where nobody says otherwise


class Answer(RunInput):
    """What a person says; the server refuses what lacks a field or holds blanks alone."""

    decision: Literal["promote", "reject", "keep on hold"] = Field(
        description="promote makes it champion at once; reject and keep on hold move nothing"
    )
    reason: str = Field(
        min_length=3, max_length=500, pattern=r"\S", description="stands in the ledger; 3 to 500 characters"
    )
    approver: str = Field(
        min_length=1, max_length=100, pattern=r"\S", description="your name, recorded as the claim it is"
    )


def answer_to(run: Run, client: Any, question: "Entry") -> Answer:
    """The answer to a question of the ledger; where there is none yet the process ends, and the flow starts anew later.

    Raises:
        Pause: nobody has answered yet.
    """
    from roadseg.registry.question import asked_decision  # late: MLflow loads in seconds

    context = FlowRunContext.get()
    assert context, "call it in a flow"
    assert context.flow_run
    decision = asked_decision(client, question)
    if question.run_id not in (context.flow_run.empirical_policy.pause_keys or ()):
        number, until = decision.candidate.version, _until(question)
        run.note(version=number, outcome="ASKED", decision=decision.to_json())
        run.name_it(f"asks about v{number}", so_far=True)
        said = f"until {until}; {'; '.join(decision.reasons)}"
        tell(
            "asked",
            f"is version {number} to be champion?",
            reason=said,
            score=score_line(decision),
            link=run.record.url,
        )
    # initial data would take the place of the fields' bounds, and an empty answer would do
    form = Answer.with_initial_data(description=form_text(run, question, decision))
    answer = suspend_flow_run(
        wait_for_input=form, key=question.run_id
    )  # no timeout: at Prefect's, no code of ours runs
    assert isinstance(answer, Answer)
    return answer


def form_text(run: Run, question: "Entry", decision: Decision) -> str:
    """What stands above the form, as Markdown: what a yes does, until when, who asks, and why the gate says so."""
    from roadseg.registry.decision_page import ledger_page

    number, champion = decision.candidate.version, decision.champion
    back = f"`roadseg rollback` brings version {champion.version} back." if champion else "There is no champion yet."
    asker, why = (" ".join(question.tags.get(key, "").replace("`", "'").split()) for key in ("requester", "why"))
    lines = [
        f"# Is version {number} to be champion?",
        "**promote** makes it champion at once: whatever follows the alias takes it. The gate decides once more "
        f"before, and you are asked again where the champion or the policy has changed meanwhile. {back}",
        f"**reject** and **keep on hold** move nothing. Without an answer until {_until(question)} it stays on hold.",
        f"Asked for by `{asker}`" + (f": `{why}`" if why else ""),
    ]
    table = decision_markdown(decision).replace("## ", "## The gate: ", 1)
    page = run.folder / paths.DECISION_PAGE.name
    return "\n\n".join([*lines, with_places(table, page, ledger_page(number))])


def nobody_answered(answer: Answer, question: "Entry") -> bool:
    """Whether it is the answer that the deadline gave."""
    return answer.approver == NOBODY and time.time() >= float(question.tags["deadline"]) - 1


def asked_elsewhere(client: Any, run: str, version: int | None) -> str:
    """Where another run asks about the same version already; empty where none does.

    Questions whose runs have ended without an answer, cancelled or killed, are closed.
    """
    from roadseg.registry.question import close_question, open_questions
    from roadseg.registry.versions import candidate_of

    number = str(version or candidate_of(client, move=False))
    found = ""
    with get_client(sync_client=True) as prefect:
        for question in open_questions(client):
            asker = question.tags.get("flow_run", "")
            other = _flow_run(prefect, asker)
            over = other is None and time.time() > float(question.tags["deadline"])  # of another server, or deleted
            if over or (other and other.state and other.state.is_final()):
                close_question(client, question, "withdrawn")
            elif question.tags["candidate"] == number and asker != run:
                found = f"version {number} is asked about already, by run {other.name if other else asker}"
    return found


def answer_overdue() -> list[str]:
    """Let the runs go on whose question nobody has answered in time, and close those whose run was cancelled or killed.

    Never raises: what fails is tried again the next time.

    Returns:
        A line for each.
    """
    waiting = [record for record in read_records() if record.deployment == "promote" and record.state == SUSPENDED]
    if not waiting:
        return []
    lines = []
    try:
        with get_client(sync_client=True) as prefect:
            for record in waiting:
                found = _flow_run(prefect, record.run)
                if found is None or (found.state and found.state.is_final()):
                    _withdraw(record.run)
                    state = found.state.name if found and found.state else "gone"
                    write_record(record.model_copy(update={"state": state, "ended": time.time()}))
                    lines.append(f"the question of run {record.name} is withdrawn: the run is {state}")
                elif _is_overdue(found):
                    lines.append(_resume(prefect, found))
    except Exception as error:
        lines.append(f"overdue questions are not answered: {type(error).__name__}: {error}")
    return lines


def _resume(prefect: SyncPrefectClient, found: FlowRun) -> str:
    said = {"decision": "keep on hold", "reason": "nobody answered in time", "approver": NOBODY}
    answered = prefect.resume_flow_run(found.id, run_input=said)
    if answered.status != SetStateStatus.ACCEPT:
        return f"run {found.name} is overdue, and Prefect does not let it go on: {answered.details}"
    return f"nobody answered run {found.name} in time: it goes on"


def _is_overdue(found: FlowRun) -> bool:
    """Whether the days of a suspended run are over; the ledger's deadline has passed by then."""
    if found.state is None or found.state.name != SUSPENDED:
        return False
    asked = found.state.timestamp
    return (datetime.now(UTC) - asked).total_seconds() > float(found.parameters.get("answer_days", DAYS)) * DAY


def _withdraw(run: str) -> None:
    from roadseg.registry.question import close_question, question_of  # late: MLflow loads in seconds
    from roadseg.tracking.store import connect

    client = connect()
    while question := question_of(client, run):
        close_question(client, question, "withdrawn")


def _flow_run(prefect: SyncPrefectClient, run: str) -> FlowRun | None:
    try:
        found: Any = prefect.read_flow_run(UUID(run))
    except (ObjectNotFound, ValueError):  # of another server, deleted, or of none
        return None
    assert isinstance(found, FlowRun)
    return found


def _until(question: "Entry") -> str:
    return f"{datetime.fromtimestamp(float(question.tags['deadline']), UTC):%Y-%m-%d %H:%M} UTC"
