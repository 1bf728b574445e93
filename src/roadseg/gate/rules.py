"""What a candidate must not break, however good its mean is."""

from collections.abc import Iterator

import numpy as np

from roadseg.contracts.evaluation import Evaluation
from roadseg.evaluate.hierarchy import safe_iou
from roadseg.evaluate.measures import mean
from roadseg.gate.comparison import Comparison
from roadseg.gate.decision import Outcome, Regression, Rule
from roadseg.gate.difference import class_ious, miou, overlaps, surely_above
from roadseg.gate.evidence import Evidence
from roadseg.gate.policy import Policy

OUTCOME_OF_COSTS: dict[str, Outcome] = {"size_factor": "REJECT", "time_factor": "HOLD"}  # clocks are noisy


def floors(evaluation: Evaluation, policy: Policy) -> Iterator[Rule]:
    """Scores that any model must have, a first one too."""
    total = overlaps(evaluation.counts.total().confusion)
    found = {"": float(miou(total))} | dict(
        zip(evaluation.counts.classes.names, class_ious(total).tolist(), strict=True)
    )
    asked = {"": policy.miou_min} | policy.iou_min
    for name, bound in asked.items():
        key, what = ("promote.iou_min", f"IoU of {name}") if name else ("promote.miou_min", "mIoU")
        figure = found.get(name, float("nan"))
        if np.isnan(figure):
            why = "no image of val holds it" if name in found else "the class table has no such class"
            yield Rule(key, name, bound, None, None, "HOLD", f"{what} cannot be judged, {why}: see {key}")
        else:
            words = "is not below" if figure >= bound else "is below"
            sentence = f"{what} {figure:.4f} {words} {key} {bound:g}"
            yield Rule(key, name, bound, figure, figure >= bound, "REJECT", sentence)


def protected_classes(compared: Comparison, policy: Policy, seed: int) -> Iterator[Rule]:
    """No class that the table protects may fall; where that it did is not sure, the gate holds."""
    key, bound = "promote.protected_drop", policy.protected_drop
    pair, classes = compared.pair(), compared.candidate.counts.classes
    change, redrawn = pair.difference(class_ious), pair.redrawn(class_ious, seed)
    holding = (compared.confusions().champion.sum(-1) > 0).sum(0)  # drives by class
    sure = surely_above(-redrawn, bound, holding)
    for number, entry in enumerate(classes.classes):
        if not entry.protected:
            continue
        fall = -float(change[number])
        if not holding[number] or np.isnan(fall):
            sentence = f"no image of val holds the protected class {entry.name}, so {key} cannot be judged: add some"
            yield Rule(key, entry.name, bound, None, None, "HOLD", sentence)
            continue
        certain = bool(sure[number] >= policy.confidence)
        sentence = f"IoU of the protected class {entry.name} {said_of(fall, bound, key, certain)}"
        yield Rule(key, entry.name, bound, fall, fall <= bound, "REJECT" if certain else "HOLD", sentence)


def safe(compared: Comparison, policy: Policy, seed: int) -> Iterator[Rule]:
    """safe_miou may not surely fall; no rule where the class table has none."""
    key, bound, classes = "promote.safe_drop", policy.safe_drop, compared.candidate.counts.classes
    pair = compared.confusions()
    if safe_iou(pair.candidate.sum(0), classes) is None:
        return

    def figure(confusion: np.ndarray) -> np.ndarray:
        return mean(np.asarray(safe_iou(confusion, classes)))

    fall = -float(pair.difference(figure))
    broken = fall > bound and bool(surely_above(-pair.redrawn(figure, seed), bound, pair.drives) >= policy.confidence)
    sentence = f"safe_miou {said_of(fall, bound, key, broken)}"
    yield Rule(key, "", bound, fall, not broken, "REJECT", sentence)


def regressions(compared: Comparison, policy: Policy) -> tuple[Rule, tuple[Regression, ...]]:
    """Images that got worse by themselves, and whether they are few enough."""
    before, after = miou(compared.overlaps.champion), miou(compared.overlaps.candidate)
    fell = np.flatnonzero(before - after > policy.regression_drop)  # false where an image is void throughout
    samples = compared.candidate.images["sample"].to_pylist()
    worst_first = sorted(fell, key=lambda row: (after[row] - before[row], samples[row]))
    listed = tuple(Regression(samples[row], float(before[row]), float(after[row])) for row in worst_first)
    held = len(listed) <= policy.regressions
    words = "not more" if held else "more"
    sentence = f"{len(listed)} images fell by over {policy.regression_drop:g} mIoU, {words} than promote.regressions "
    sentence += f"{policy.regressions}"
    if listed:
        sentence += f"; furthest {listed[0].sample}, from {listed[0].before:.4f} to {listed[0].after:.4f}"
    return Rule("promote.regressions", "", policy.regressions, len(listed), held, "REJECT", sentence), listed


def costs(candidate: Evidence, champion: Evidence, policy: Policy) -> Iterator[Rule]:
    """Size of the bundle and time for an image."""
    asked = (
        ("size_factor", "the bundle's bytes", candidate.size, champion.size, policy.size_factor),
        ("time_factor", "the seconds for an image", candidate.seconds, champion.seconds, policy.time_factor),
    )
    for name, what, ours, theirs, bound in asked:
        key = f"promote.{name}"
        if not ours or not theirs:
            yield Rule(key, "", bound, None, None, "HOLD", f"{what} of both models are not known: see {key}")
            continue
        factor = ours / theirs
        held, outcome = factor <= bound, OUTCOME_OF_COSTS[name]
        sentence = f"{what} are {factor:.2f} times the champion's, {'within' if held else 'over'} {key} {bound:g}"
        yield Rule(key, "", bound, factor, held, outcome, sentence)


def said_of(fall: float, bound: float, key: str, certain: bool) -> str:
    """A change against the fall that a key allows, in words."""
    if fall <= bound:
        return f"changed by {-fall:+.4f}, within {key} {bound:g}"
    return f"fell by {fall:.4f}, {'surely' if certain else 'though not surely'} more than {key} {bound:g}"
