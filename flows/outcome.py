"""What a decision makes of a run: its name, its record, who is told, and which event others may start from."""

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.deployments import run_deployment
from prefect.runtime import deployment

from flows.run import Run, ended
from flows.tell import Kind, tell
from roadseg.gate.decision import Decision

KINDS: dict[str, Kind] = {"PROMOTE": "promoted", "REJECT": "rejected", "HOLD": "held"}
EVENTS = {"PROMOTE": "roadseg.model.promoted", "HOLD": "roadseg.gate.held"}
PROMOTE = "promote"  # the deployment that asks


def conclude(run: Run, decision: Decision) -> Decision | State[Decision]:
    """Write down what the gate answered, and tell those whom it concerns; ask a person where the policy wants one.

    Returns:
        What the flow returns.
    """
    missing = lacks_evidence(decision)
    run.note(
        outcome=decision.outcome,
        decision=decision.to_json(),
        version=decision.candidate.version,
        final=not missing,
        missing=missing,
    )
    open_question = decision.outcome == "HOLD" and decision.for_a_person and run.record.deployment != PROMOTE
    if open_question and run.deployed and _ask(run, decision):
        run.note(outcome="ASKED", state="Asked")
        run.name_it(f"asked {_version(decision)}")
        return ended("Asked", f"deployment promote asks a person about version {decision.candidate.version}")
    run.name_it(in_words(decision))
    if kind := KINDS.get(decision.outcome):
        title = f"{run.record.deployment}: {run.record.name}"
        tell(kind, title, reason="; ".join(decision.reasons), score=score(decision), link=run.record.url)
    if event := EVENTS.get(decision.outcome):
        number, reasons = decision.candidate.version, "; ".join(decision.reasons)
        run.announce(event, f"roadseg.model.{number}", version=number, reasons=reasons, link=run.record.url)
    return decision


def in_words(decision: Decision) -> str:
    """Name of a run that ended with this decision: `promoted v7 +0.012`."""
    difference = f" {decision.difference.value:+.3f}" if decision.difference else ""
    if decision.outcome == "CHAMPION ALREADY":
        return f"{_version(decision)} is champion already"
    lacking = " for want of evidence" if lacks_evidence(decision) else ""
    return f"{KINDS[decision.outcome]} {_version(decision)}{difference}{lacking}"


def score(decision: Decision) -> str:
    """The candidate's mIoU, and how far the data say what of it is sure."""
    if decision.candidate.miou is None:
        return ""
    found = decision.difference
    against = f", {found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f})" if found else ""
    return f"mIoU {decision.candidate.miou:.4f}{against}"


def lacks_evidence(decision: Decision) -> bool:
    """Whether the gate held because something could not be had: it is asked again, without training."""
    if decision.outcome != "HOLD" or "class table" in decision.reasons[0]:  # that one waits for a person
        return False
    judged = [decision.candidate, *filter(None, [decision.champion])]
    return any(one.weights is None for one in judged) or any(rule.held is None for rule in decision.rules)


def _ask(run: Run, decision: Decision) -> bool:
    """Start a run that asks, since a run that others wait for must not; whether there is one."""
    checkout = (deployment.name or "").removeprefix(run.record.deployment)  # what names carry on a shared server
    name = f"{PROMOTE}/{PROMOTE}{checkout}"
    asked = {"version": decision.candidate.version, "reason": run.record.reason, "requester": run.record.requester}
    try:
        run_deployment(name, parameters=asked, timeout=0, as_subflow=False)
    except Exception as error:
        get_run_logger().warning("nobody is asked, %s does not start: %s: %s", name, type(error).__name__, error)
        return False
    return True


def _version(decision: Decision) -> str:
    return f"v{decision.candidate.version}"
