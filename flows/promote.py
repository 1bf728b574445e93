"""The deployment `promote`: the gate decides, and where the policy wants a person, one is asked on the run's page.

A question outlives processes, workers and servers: the run is suspended, and what it asked stands in the ledger. After
the answer the flow starts from the top, so it looks there before it does anything.
"""

from typing import TYPE_CHECKING, Annotated, Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.asking import DAYS, answer_to, nobody_answered
from flows.judging import let_gate_decide
from flows.options import Group, Reason, Requester, Version, check
from flows.outcome import conclude
from flows.questions import asked_elsewhere
from flows.run import Run, recorded
from flows.turn import in_the_way, skipped, yield_to
from roadseg.gate.decision import Decision
from roadseg.workspace.lock import Held

if TYPE_CHECKING:
    from roadseg.registry.ledger import Entry

AnswerDays = Annotated[float, Field(gt=0, le=365)]
Ended = Decision | State[Any]


class PromoteOptions(Group):
    """What `promote` can be told; the flow's signature has the same fields."""

    version: Version | None = None
    reason: Reason = ""
    requester: Requester = ""
    new_table: bool = False
    answer_days: AnswerDays = DAYS


@flow(name="promote", log_prints=True, validate_parameters=False)  # checked in the flow, in one line
def promote(
    version: Version | None = None,
    reason: Reason = "",
    requester: Requester = "",
    new_table: bool = False,
    answer_days: AnswerDays = DAYS,
) -> Ended:
    """Judge a version against the champion, and make it champion if it wins; where the policy says so, ask a person.

    Args:
        version: Registered version, from 1; none: the newest candidate.
        reason: Why you ask for it; at most 500 characters. It stands in the ledger.
        requester: Your name, which is recorded as the claim it is. Who approves is asked apart.
        new_table: Take a model of another class table, which no score can compare.
        answer_days: Days until a question to a person is over, above 0 and at most 365; then the version stays on hold.
    """
    given = {
        "version": version,
        "reason": reason,
        "requester": requester,
        "new_table": new_table,
        "answer_days": answer_days,
    }
    with recorded("promote", requester=str(requester)) as run:
        options = check(PromoteOptions, given)
        run.note(reason=options.reason)
        try:
            return _decide(run, options)
        except Held as held:  # a champion must be scored again, and somebody trains
            return yield_to(run, in_the_way(held), "wait")


def _decide(run: Run, options: PromoteOptions) -> Ended:
    from roadseg.registry.question import question_of  # late: MLflow loads in seconds
    from roadseg.tracking.store import connect

    client = connect()
    question = question_of(client, run.id)
    if question is None:
        if why := asked_elsewhere(client, run.id, options.version):
            return skipped(run, why)
        decision = let_gate_decide(run, options.model_dump())
        question = question_of(client, run.id)
        if question is None:
            return conclude(run, decision)
    return _answered(run, options, client, question)


def _answered(run: Run, options: PromoteOptions, client: Any, question: "Entry") -> Ended:
    """Ask, and do what the answer says; a yes to what is no longer so asks again."""
    from roadseg.registry.question import close_question, end_question, question_of, still_stands
    from roadseg.registry.versions import CHAMPION, version_at

    number = int(question.tags["candidate"])
    answer = answer_to(run, client, question)  # leaves the process where nobody has answered yet
    get_run_logger().info("%s by %s: %s", answer.decision, answer.approver, answer.reason)
    if answer.decision == "promote":
        by, about = answer.approver.strip(), question
        decision = let_gate_decide(
            run, {**options.model_dump(), "version": number}, lambda found: by if still_stands(about, found) else False
        )
        again = question_of(client, run.id)
        new = again is not None and again.run_id != question.run_id
        close_question(client, question, "asked again" if new else "promote", by)
        return _answered(run, options, client, again) if again and new else conclude(run, decision)
    if version_at(client, CHAMPION) == number:
        close_question(client, question, "withdrawn", answer.approver)
        return skipped(
            run, f"version {number} became champion meanwhile; `roadseg rollback` brings the one before back"
        )
    if nobody_answered(answer, question):
        return conclude(run, end_question(client, question, "no answer"))
    decision = end_question(client, question, answer.decision, answer.approver.strip(), answer.reason.strip())
    return conclude(run, decision)
