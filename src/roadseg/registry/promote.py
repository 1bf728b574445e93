"""Judge a version and move the champion alias."""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace

from mlflow import MlflowClient

from roadseg.contracts import paths
from roadseg.contracts.errors import Busy, UsageError
from roadseg.contracts.files import write_json
from roadseg.contracts.params import read_params
from roadseg.gate.decide import decide
from roadseg.gate.decision import BY_A_PERSON, Decision
from roadseg.gate.policy import Policy
from roadseg.pipeline.runner import SECTIONS
from roadseg.registry import ledger
from roadseg.registry.alias import Moved, me, move, settle_moves, write_tags
from roadseg.registry.decision_page import leave_page, send_page
from roadseg.registry.evidence.gather import Gathered, gather
from roadseg.registry.evidence.rescore import Alone
from roadseg.registry.versions import CHAMPION, MODEL, candidate_of, version_at
from roadseg.tracking.store import connect

Approve = Callable[[Decision], bool | str]  # shows the decision to a person and asks; True or a name is a yes
TRIES = 3  # to decide anew, where the champion changed meanwhile


@dataclass(frozen=True)
class _Asked:
    """What `promote` was asked, see there."""

    version: int | None
    reason: str
    requester: str
    dry_run: bool
    new_table: bool
    approve: Approve | None
    deadline: float | None
    alone: Alone


def promote(
    version: int | None = None,
    *,
    reason: str = "",
    requester: str = "",
    dry_run: bool = False,
    new_table: bool = False,
    approve: Approve | None = None,
    deadline: float | None = None,
    alone: Alone = nullcontext,
) -> Decision:
    """Judge a version against the champion; make it champion if it wins.

    The tree in the current directory has params.yaml and the val images. The decision is left in
    reports/decision.json and, with its page, decision.html, unless nothing was decided.

    Args:
        version: registered version; the newest candidate if None.
        reason: kept in the ledger.
        requester: who asks for it, as they say; the account of this process if empty.
        dry_run: decide only, write nothing to MLflow.
        new_table: take a model of another class table.
        approve: asks a person, who can look at the page by then; None where there is nobody to ask: what needs one is
            held.
        deadline: what needs a person and has no yes is a question in the ledger until then, seconds since the epoch.
        alone: held while a model is scored again.

    Raises:
        UsageError: there is no such version, or nothing is registered.
        Moved: the champion changed each time while this was decided.
    """
    client, policy = connect(), read_params(SECTIONS)["promote"]
    assert isinstance(policy, Policy)
    asked = _Asked(version, reason, requester or me(), dry_run, new_table, approve, deadline, alone)
    for _ in range(TRIES - 1):
        with suppress(Moved):
            return _decide_once(client, policy, asked)
    return _decide_once(client, policy, asked)


def _decide_once(client: MlflowClient, policy: Policy, asked: _Asked) -> Decision:
    champion = version_at(client, CHAMPION) if asked.dry_run else settle_moves(client)
    named = asked.version
    candidate = candidate_of(client, move=not asked.dry_run) or champion if named is None else named
    if candidate is None:
        raise UsageError(f"no version of {MODEL} is registered: run `roadseg register`")
    found = gather(client, candidate, champion, send=not asked.dry_run, alone=asked.alone)
    decision = _judged(found, policy, new_table=asked.new_table)
    if decision.outcome == "CHAMPION ALREADY":
        return decision
    shown: list[Decision] = []  # whose page is there already
    decision, approver, open_ = _approved(client, decision, policy, asked, shown)
    write_json(paths.DECISION, "decision", decision.to_json())
    if asked.dry_run:
        leave_page(client, decision)
        return decision
    tags = ledger.of_decision(decision, who=asked.requester, why=asked.reason, approver=approver)
    if open_ and asked.deadline:
        tags |= {"kind": ledger.ASKED, "deadline": f"{asked.deadline:.0f}"}
    try:
        _write(client, tags, decision, page=decision in shown)
    except Busy:
        paths.DECISION.unlink()  # nothing of it has come true
        raise
    return decision


def _judged(found: Gathered, policy: Policy, *, new_table: bool) -> Decision:
    decision = decide(found.candidate, found.champion, policy, left_out=found.left_out, new_table=new_table)
    if found.faults:
        return replace(decision, outcome="REJECT", reasons=(*found.faults, *decision.reasons))
    return decision


def _approved(
    client: MlflowClient, decision: Decision, policy: Policy, asked: _Asked, shown: list[Decision]
) -> tuple[Decision, str, bool]:
    """The decision, held where a person must take it and did not; who took it; and whether that is all it lacks.

    What was rolled back comes again only when its version is named: a script that says `--yes` every night does not.
    Decisions whose page was made to be looked at come into `shown`.
    """
    lacking = []
    if decision.outcome == "PROMOTE" and policy.approval:
        lacking.append(f"{BY_A_PERSON} (promote.approval)")
    back = _taken_back(client, decision) if decision.outcome == "PROMOTE" else None
    if back:
        lacking.append(back)
    if not lacking:
        return decision, "", False
    whole = replace(decision, reasons=(*decision.reasons, *lacking))
    if (asked.version is not None or not back) and (yes := _ask(client, whole, asked, shown)):
        return whole, me() if yes is True else str(yes), False
    command = f"`roadseg promote {decision.candidate.version}` asks for it"
    return replace(decision, outcome="HOLD", reasons=(*lacking, command, *decision.reasons)), "", True


def _ask(client: MlflowClient, decision: Decision, asked: _Asked, shown: list[Decision]) -> bool | str:
    if asked.dry_run or asked.approve is None:
        return asked.dry_run
    write_json(paths.DECISION, "decision", decision.to_json())
    if leave_page(client, decision):
        shown.append(decision)
    return asked.approve(decision)


def _taken_back(client: MlflowClient, decision: Decision) -> str | None:
    """Why the same weights with the same evidence and policy are not promoted again; None where something changed."""
    ours = decision.candidate
    for entry in ledger.done_moves(client):
        left, tags = entry.kind == ledger.ROLLBACK, entry.tags
        same = tags.get("left.weights") == ours.weights
        same &= tags.get("left.evidence", ours.key) == ours.key
        if left and same and tags.get("left.policy") in (None, ledger.policy_digest(decision.policy)):
            why = f": {tags['why']}" if tags.get("why") else ""
            return f"{tags.get('who')} rolled it back on {entry.when:%Y-%m-%d}{why}, and nothing has changed since"
    return None


def _write(client: MlflowClient, tags: dict[str, str], decision: Decision, *, page: bool) -> None:
    if decision.outcome == "PROMOTE":
        entry = move(client, tags)
    else:
        entry = ledger.record(client, tags)
        write_tags(client, tags["candidate"], tags)
    client.log_artifact(entry.run_id, str(paths.DECISION))
    if page or leave_page(client, decision):
        send_page(client, decision, entry.run_id)
