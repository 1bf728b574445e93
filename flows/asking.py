"""Ask a person about a version on the run's page, for days and without a process."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from prefect.context import FlowRunContext
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from pydantic import Field

from flows.outcome import score_line
from flows.pages import with_places
from flows.run import Run
from flows.tell import tell
from roadseg.contracts import paths
from roadseg.gate.decision import Decision
from roadseg.pages.summary import decision_markdown

if TYPE_CHECKING:
    from roadseg.registry.ledger import Entry

NOBODY = "nobody"  # the approver in the answer that the deadline gives
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


def _until(question: "Entry") -> str:
    return f"{datetime.fromtimestamp(float(question.tags['deadline']), UTC):%Y-%m-%d %H:%M} UTC"
