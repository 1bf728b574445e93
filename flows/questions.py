"""Questions that are open: one at a time about a version, and none outlives its run or its deadline.

Whether a run still waits is Prefect's to say, and whether its question is open the ledger's: a record in home may be
behind both, since whoever is killed writes nothing.
"""

import time
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import UUID

from httpx import HTTPStatusError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound

from flows.asking import DAYS, NOBODY, Answer
from flows.run import SUSPENDED
from flows.services.alive import life
from flows.services.reconcile import MUTE
from flows.tell import tell
from roadseg.workspace.records import RunRecord, find_record, read_records, write_record

if TYPE_CHECKING:
    from roadseg.registry.ledger import Entry

DAY = 86400.0  # seconds


def asked_elsewhere(client: Any, run: str, version: int | None) -> str:
    """Where another run asks about the same version already; empty where none does.

    Questions whose runs have ended without an answer, cancelled or killed, are closed.
    """
    from roadseg.registry.question import open_questions  # late: MLflow loads in seconds
    from roadseg.registry.versions import candidate_of

    number = str(version or candidate_of(client, move=False))
    found = ""
    with get_client(sync_client=True) as prefect:
        for question in open_questions(client):
            asker = question.tags.get("flow_run", "")
            other = _flow_run(prefect, asker)
            over = other is None and time.time() > float(question.tags["deadline"])  # of another server, or deleted
            if over or (other and other.state and other.state.is_final()):
                _close_left(prefect, client, question, other)
            elif question.tags["candidate"] == number and asker != run:
                found = f"version {number} is asked about already, by run {other.name if other else asker}"
    return found


def settle_questions() -> list[str]:
    """Let the runs go on whose question nobody has answered in time, and close those whose run was cancelled or killed.

    Never raises: what fails is tried again the next time.

    Returns:
        A line for each.
    """
    lines: list[str] = []
    try:
        if asking := [record for record in read_records() if _may_ask(record)]:
            with get_client(sync_client=True) as prefect:
                for record in asking:
                    lines += _settle(prefect, record)
    except Exception as error:
        lines.append(f"open questions are not looked after: {type(error).__name__}: {error}")
    return lines


def _may_ask(record: RunRecord) -> bool:
    """Whether its question may be open: a run that comes to an outcome or skips has closed it before it says so."""
    return (
        record.deployment == "promote"
        and record.outcome in ("", "ASKED")
        and record.state != "Skipped"
        and not record.final
    )


def _settle(prefect: SyncPrefectClient, record: RunRecord) -> list[str]:
    found = _flow_run(prefect, record.run)
    if found is None or (found.state and found.state.is_final()):
        return _close_all(prefect, record, found)
    if found.state is None or found.state.name != SUSPENDED:
        return []
    if record.state != SUSPENDED and life(record.run, ()) != "alive":  # it was killed before it wrote that it waits
        write_record(record.model_copy(update={"state": SUSPENDED, "ended": None}))
    return [_resume(prefect, found)] if _is_overdue(found) else []


def _close_all(prefect: SyncPrefectClient, record: RunRecord, found: FlowRun | None) -> list[str]:
    """Close what a run asked that has ended; its record says that nothing of it is left to look after."""
    from roadseg.registry.question import open_questions  # late: MLflow loads in seconds
    from roadseg.tracking.store import connect

    if life(record.run, ()) == "alive":
        return []
    client = connect()
    asked = [question for question in open_questions(client) if question.tags.get("flow_run") == record.run]
    lines = [_close_left(prefect, client, question, found) for question in asked]
    now = find_record(record.run)
    ended = {} if now.ended is not None else {"state": _state_of(found), "ended": time.time()}
    write_record(now.model_copy(update={"final": True, "problem": "; ".join(lines) or now.problem, **ended}))
    return lines


def _close_left(prefect: SyncPrefectClient, client: Any, question: "Entry", found: FlowRun | None) -> str:
    """Close the question that a run left open which has ended or is gone; people are told where it comes to naught.

    Returns:
        A line about it.
    """
    from roadseg.registry.question import close_question, what_came_of  # late: MLflow loads in seconds

    version = question.tags["candidate"]
    if came := what_came_of(client, question):
        close_question(client, question, *came)
        return f"the question about version {version} is closed, its run died over that: {came[0]}"
    said = _answer_given(prefect, question)
    name = found.name if found else question.tags.get("flow_run", "")
    message = (found and found.state and found.state.message) or ""
    words = f"{said.approver} had answered {said.decision}: {said.reason}" if said else "nobody had answered"
    why = f"run {name} is {_state_of(found)}{message and f' ({message})'}; {words}"
    close_question(client, question, "withdrawn", said.approver if said else "", why)
    if message != MUTE:  # that one is asked again by itself
        start = f"Nothing has moved: start promote again for version {version}."
        tell("withdrawn", f"the question about version {version}", reason=f"{why}. {start}")
    return f"the question about version {version} is withdrawn: {why}"


def _answer_given(prefect: SyncPrefectClient, question: "Entry") -> Answer | None:
    """What a person said to the run's form; None where nobody did, and where Prefect no longer knows it."""
    try:
        kept = prefect.read_flow_run_input(
            UUID(question.tags["flow_run"]), f"{SUSPENDED.lower()}-{question.run_id}-response"
        )
    except (ObjectNotFound, ValueError):
        return None
    except HTTPStatusError as error:
        if error.response.status_code != HTTPStatus.NOT_FOUND:
            raise
        return None
    answer = Answer.model_validate_json(kept)
    return answer if answer.approver != NOBODY else None


def _resume(prefect: SyncPrefectClient, found: FlowRun) -> str:
    said = {"decision": "keep on hold", "reason": "nobody answered in time", "approver": NOBODY}
    answered = prefect.resume_flow_run(found.id, run_input=said)
    if answered.status != SetStateStatus.ACCEPT:
        return f"run {found.name} is overdue, and Prefect does not let it go on: {answered.details}"
    return f"nobody answered run {found.name} in time: it goes on"


def _is_overdue(found: FlowRun) -> bool:
    """Whether the days of a suspended run are over; the ledger's deadline has passed by then."""
    assert found.state
    asked = found.state.timestamp
    return (datetime.now(UTC) - asked).total_seconds() > float(found.parameters.get("answer_days", DAYS)) * DAY


def _state_of(found: FlowRun | None) -> str:
    return str(found.state.name) if found and found.state else "gone"


def _flow_run(prefect: SyncPrefectClient, run: str) -> FlowRun | None:
    try:
        found: Any = prefect.read_flow_run(UUID(run))
    except (ObjectNotFound, ValueError):  # of another server, deleted, or of none
        return None
    assert isinstance(found, FlowRun)
    return found
