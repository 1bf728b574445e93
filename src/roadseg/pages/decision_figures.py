"""The figures of a decision: where the difference lies, what each rule says, and how classes and slices changed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from roadseg.gate.comparison import Comparison
from roadseg.gate.decision import Decision, Regression, Rule
from roadseg.gate.difference import class_ious, miou
from roadseg.gate.slice_rules import KEY, KINDS, PARTS
from roadseg.scoring.slices import SLICES

MARGIN = 0.25  # of what the axis must show, on either side: room for the figures at its ends


@dataclass(frozen=True)
class Axis:
    """Where the picture of a difference has what, each in percent of its width.

    Attributes:
        zero: no difference.
        gain: the policy's; right of it a candidate is better by enough.
        loss: the policy's; left of it a candidate is worse by too much.
        low, high: the interval.
        value: the difference.
    """

    zero: float
    gain: float
    loss: float
    low: float
    high: float
    value: float


@dataclass(frozen=True)
class Changed:
    """A figure of the champion and of the candidate, 0..1, each None where it is absent or not at hand.

    Attributes:
        name: of the class or the slice.
        change: candidate less champion; None where either is not known.
        held: what the rule about it says; None where there is none, or where nobody can tell.
        support: the images it rests on, or why nothing is known, in words.
        color: of the class.
        protected: whether the class table protects the class.
    """

    name: str
    before: float | None
    after: float | None
    change: float | None
    held: bool | None = None
    support: str = ""
    color: tuple[int, int, int] | None = None
    protected: bool = False


def axis(decision: Decision) -> Axis | None:
    """The picture of the difference; None where there is none, or it could not be computed."""
    found, policy = decision.difference, decision.policy or {}
    if found is None or None in (found.value, found.low, found.high):
        return None
    places = np.array([0.0, policy.get("gain", 0.0), -policy.get("loss", 0.0), found.low, found.high, found.value])
    span = float(np.ptp(places))
    if not np.isfinite(places).all() or not span:
        return None
    left, width = places.min() - MARGIN * span, (1 + 2 * MARGIN) * span
    return Axis(*(100 * (places - left) / width).tolist())


def rule_rows(decision: Decision) -> list[Rule]:
    """The rules that are not about slices, what does not hold first."""
    return sorted(
        (rule for rule in decision.rules if rule.key != KEY),
        key=lambda rule: (rule.held is True, rule.outcome != "REJECT"),
    )


def class_changes(compared: Comparison, alone: bool) -> list[Changed]:
    """IoU by class over the drives that decide, what lost most first; with `alone` there is no champion."""
    before, after = (class_ious(each.sum(0)) for each in (compared.overlaps.champion, compared.overlaps.candidate))
    rows = []
    for number, entry in enumerate(compared.candidate.counts.classes.classes):
        was, now = None if alone else _known(before[number]), _known(after[number])
        rows.append(Changed(entry.name, was, now, _less(now, was), color=entry.color, protected=entry.protected))
    return sorted(rows, key=lambda row: (0.0 if row.change is None else row.change, row.after or 0.0))


def slice_changes(decision: Decision, compared: Comparison | None) -> list[Changed]:
    """The slices that were judged, what lost most first; without counts only by how much they changed."""
    scores = dict(_slices(compared)) if compared else {}
    rows = []
    for rule in decision.rules:
        if rule.key != KEY:
            continue
        before, after, support = scores.get(rule.about, (None, None, ""))
        change = None if rule.figure is None else -rule.figure
        rows.append(
            Changed(rule.about, before, after, change, rule.held, support if rule.figure is not None else rule.sentence)
        )
    return sorted(rows, key=lambda row: (row.held is True, np.inf if row.change is None else row.change))


def moved(compared: Comparison, most: int) -> tuple[list[Regression], list[Regression]]:
    """The images whose own mIoU fell furthest, and those whose own rose furthest."""
    before, after = miou(compared.overlaps.champion), miou(compared.overlaps.candidate)
    change = np.nan_to_num(after - before)
    samples, order = compared.candidate.images["sample"].to_pylist(), np.argsort(change, kind="stable")
    lost, gained = order[change[order] < 0], order[::-1][change[order[::-1]] > 0]
    listed = [
        [Regression(samples[row], float(before[row]), float(after[row])) for row in rows[:most].tolist()]
        for rows in (lost, gained)
    ]
    return listed[0], listed[1]


def _slices(compared: Comparison) -> Iterator[tuple[str, tuple[float | None, float | None, str]]]:
    for by in KINDS:
        for name, chosen, _ in SLICES[by](compared.candidate, PARTS):
            pair = compared.pair(chosen)
            before, after = (_known(miou(each.sum(0))) for each in (pair.champion, pair.candidate))
            yield f"{by} {name}", (before, after, f"{int(chosen.sum()):,} images, {pair.drives:,} drives")


def _known(value: float | np.ndarray) -> float | None:
    return float(value) if np.isfinite(value) else None


def _less(now: float | None, was: float | None) -> float | None:
    return None if now is None or was is None else now - was
