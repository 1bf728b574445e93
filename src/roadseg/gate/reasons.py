"""The gate's reasons, in words."""

import numpy as np

from roadseg.gate.decision import Decision, Difference, Outcome
from roadseg.gate.evidence import Evidence
from roadseg.gate.policy import Policy


def by_difference(found: Decision, difference: Difference, policy: Policy) -> tuple[Outcome, str]:
    """What the difference alone asks for, and why."""
    if not np.isfinite([difference.value, difference.probability, difference.worse]).all():
        return "HOLD", f"the difference cannot be computed over {support(found)}"
    said = _figures(found, difference, policy)
    if difference.worse >= policy.confidence:
        return "REJECT", f"surely worse by more than promote.loss {policy.loss:g}: {said}"
    if difference.probability < policy.confidence:
        asked = (
            f"better with probability {difference.probability:.3f}, promote.confidence asks for {policy.confidence:g}"
        )
        return "HOLD", f"the data cannot tell: {said}; {asked}; {_needed(found, difference)}"
    if difference.value < policy.gain:
        return "HOLD", f"better, but by less than promote.gain {policy.gain:g}: {said}"
    return "PROMOTE", f"better: {said}, with probability {difference.probability:.3f}"


def support(found: Decision) -> str:
    """What decides: `226 images of 48 drives`."""
    return f"{found.images} images of {len(found.drives)} drives"


def left_out_words(found: Decision) -> str:
    """What was left out, with numbers; empty where nothing was."""
    if not found.left_out:
        return ""
    first, *others = found.left_out
    images = sum(each.images for each in found.left_out)
    more = f"; and {len(others)} more" if others else ""
    return f"left out: {len(found.left_out)} drives with {images} images: {first.drive} ({first.why}){more}"


def other_table(candidate: Evidence, champion: Evidence) -> str:
    """Why models of two class tables are not compared."""
    assert candidate.table
    assert champion.table
    return (
        f"the class table {candidate.table.name} decides otherwise than {champion.table.name} of champion "
        f"{champion.version}, so no score says which model is better: a person may take it with --new-table"
    )


def _figures(found: Decision, difference: Difference, policy: Policy) -> str:
    assert found.champion
    interval = f"{policy.confidence:.0%} interval {difference.low:+.4f} to {difference.high:+.4f}"
    return (
        f"mIoU {found.candidate.miou:.4f} against {found.champion.miou:.4f} of champion {found.champion.version}, "
        f"{difference.value:+.4f} ({interval}) over {support(found)}"
    )


def _needed(found: Decision, difference: Difference) -> str:
    if difference.needed is None:
        return "no number of drives would tell"
    return f"about {max(difference.needed, len(found.drives) + 1)} drives would tell, four times in five"
