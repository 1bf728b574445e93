"""No part of the val split may surely get worse, however good the mean of all is."""

from collections.abc import Iterator

import numpy as np

from roadseg.gate.comparison import Comparison
from roadseg.gate.decision import Rule
from roadseg.gate.difference import miou, surely_above
from roadseg.gate.policy import Policy
from roadseg.gate.rules import said_of
from roadseg.scoring.slices import SLICES

KINDS, PARTS = ("brightness", "sharpness", "size"), 4
KEY = "promote.slice_drop"


def slice_rules(compared: Comparison, policy: Policy, seed: int) -> Iterator[Rule]:
    """A rule for each slice with enough images; one that says so for a kind that has none."""
    for by in KINDS:
        parts = list(SLICES[by](compared.candidate, PARTS))
        large = [(name, chosen) for name, chosen, _ in parts if chosen.sum() >= policy.slice_images]
        for name, chosen in large:
            yield _slice_rule(compared, f"{by} {name}", chosen, policy, seed)
        if not large:
            sentence = f"no slice by {by} has promote.slice_images {policy.slice_images} images: nothing to judge"
            yield Rule(KEY, by, policy.slice_drop, None, True, "REJECT", sentence)


def _slice_rule(compared: Comparison, about: str, chosen: np.ndarray, policy: Policy, seed: int) -> Rule:
    pair, bound = compared.pair(chosen), policy.slice_drop
    fall = -float(pair.difference(miou))
    # the middle of the resamples is about what was seen: a smaller fall is never surely more than the bound
    sure = float(surely_above(-pair.redrawn(miou, seed), bound, pair.drives)) if fall > bound else 0.0
    support = f"{int(chosen.sum())} images of {pair.drives} drives"
    if np.isnan(fall) or np.isnan(sure):
        sentence = f"the slice {about} ({support}) cannot be judged: one drive tells nothing about others"
        return Rule(KEY, about, bound, None, None, "HOLD", sentence)
    broken = sure >= policy.confidence
    sentence = f"mIoU of the slice {about} ({support}) {said_of(fall, bound, KEY, broken)}"
    return Rule(KEY, about, bound, fall, not broken, "REJECT", sentence)
