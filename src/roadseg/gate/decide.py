"""The gate: evidence and policy in, decision out; it knows nothing of MLflow."""

from collections.abc import Sequence
from dataclasses import replace

from roadseg.gate.comparison import Comparison, incomparable, without
from roadseg.gate.decision import Decision, Judged, LeftOut, Outcome
from roadseg.gate.difference import measure_difference, miou
from roadseg.gate.evidence import Evidence
from roadseg.gate.policy import Policy
from roadseg.gate.reasons import by_difference, left_out_words, other_table, support
from roadseg.gate.rules import costs, floors, protected_classes, regressions, safe
from roadseg.gate.slice_rules import slice_rules


def decide(
    candidate: Evidence,
    champion: Evidence | None,
    policy: Policy,
    *,
    left_out: Sequence[LeftOut] = (),
    new_table: bool = False,
    seed: int = 0,
) -> Decision:
    """Judge a candidate against the champion, both scored on the candidate's val split with equal settings.

    Args:
        candidate: the version to judge.
        champion: the one that stands; None where there is none.
        policy: section `promote` of params.yaml.
        left_out: drives of the val split that must not decide, see `find_leaks`.
        new_table: a person asks for a model of another class table, whose scores cannot be compared.
        seed: decides the draws of the bootstrap; equal seeds give equal decisions.

    Returns:
        never a PROMOTE on what cannot be computed: that is a HOLD, with the reason.
    """
    plain = Decision(
        "HOLD",
        (),
        _judged(candidate),
        _judged(champion) if champion else None,
        left_out=tuple(left_out),
        policy=policy.model_dump(mode="json"),
    )
    if champion and candidate.version == champion.version:
        return replace(plain, outcome="CHAMPION ALREADY", reasons=("nothing to decide",))
    if said := _missing(candidate, "the candidate"):
        return replace(plain, reasons=said)
    if champion is None:
        return _alone(plain, candidate, policy, "first model")
    if champion.table is not None and champion.table != candidate.table:
        if new_table:
            return _alone(plain, candidate, policy, "a person asked for its class table")
        return replace(plain, reasons=(other_table(candidate, champion),))
    said = _missing(champion, f"champion {champion.version}") or tuple(incomparable(candidate, champion))
    if said:
        return replace(plain, reasons=said)
    return _compared(plain, candidate, champion, policy, seed)


def _alone(plain: Decision, candidate: Evidence, policy: Policy, why: str) -> Decision:
    """A model without one to compare it with: only floors and what was left out."""
    assert candidate.evaluation
    used = without(candidate.evaluation, {each.drive for each in plain.left_out})
    found = _used(plain, candidate, None, Comparison(used, used))
    if not found.images:
        return replace(found, reasons=(left_out_words(found) or "the val split has no images",))
    rules = tuple(floors(used, policy))
    found = replace(found, rules=rules)
    said = f"{why}, mIoU {found.candidate.miou:.4f} over {support(found)}"
    return _answer(found, "PROMOTE", said)


def _compared(plain: Decision, candidate: Evidence, champion: Evidence, policy: Policy, seed: int) -> Decision:
    assert candidate.evaluation
    assert champion.evaluation
    out = {each.drive for each in plain.left_out}
    compared = Comparison(without(champion.evaluation, out), without(candidate.evaluation, out))
    found = _used(plain, candidate, champion, compared)
    if len(found.drives) < policy.drives:
        few = f"{len(found.drives)} drives decide, and promote.drives asks for {policy.drives}"
        return replace(found, reasons=(few, *filter(None, [left_out_words(found)])))
    told = policy.model_dump(include={"confidence", "gain", "loss"})
    difference = measure_difference(compared.pair(), **told, seed=seed)
    few_fell, listed = regressions(compared, policy)
    rules = (
        *floors(compared.candidate, policy),
        *protected_classes(compared, policy, seed),
        *slice_rules(compared, policy, seed),
        few_fell,
        *safe(compared, policy, seed),
        *costs(candidate, champion, policy),
    )
    found = replace(found, difference=difference, rules=rules, regressions=listed)
    return _answer(found, *by_difference(found, difference, policy))


def _answer(found: Decision, outcome: Outcome, said: str) -> Decision:
    """The outcome of the difference, unless a rule asks for a harder one."""
    left = filter(None, [left_out_words(found)])
    for harder in ("REJECT", "HOLD"):
        broken = tuple(rule.sentence for rule in found.rules if not rule.held and rule.outcome == harder)
        if outcome == harder:
            return replace(found, outcome=harder, reasons=(said, *broken, *left))
        if broken:
            return replace(found, outcome=harder, reasons=(*broken, said, *left))
    return replace(found, outcome=outcome, reasons=(said, *left))


def _used(plain: Decision, candidate: Evidence, champion: Evidence | None, compared: Comparison) -> Decision:
    """With the drives that decide, and each model's score over them."""
    scores = [float(miou(each.sum(0))) for each in (compared.overlaps.candidate, compared.overlaps.champion)]
    return replace(
        plain,
        candidate=replace(_judged(candidate), miou=scores[0]),
        champion=replace(_judged(champion), miou=scores[1]) if champion else plain.champion,
        images=len(compared.drives),
        drives=tuple(sorted({str(drive) for drive in compared.drives})),
    )


def _judged(model: Evidence) -> Judged:
    return Judged(model.version, model.evaluation.weights if model.evaluation else None, model.key, None)


def _missing(model: Evidence, who: str) -> tuple[str, ...]:
    if model.missing:
        return model.missing
    return () if model.evaluation else (f"{who} has no evaluation: evaluate and publish it",)
