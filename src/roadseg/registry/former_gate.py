"""The gate as it was, one number against another; what calls it moves to `gate`."""

from dataclasses import dataclass
from typing import Literal

from roadseg.contracts.errors import DONE, HELD


@dataclass(frozen=True)
class Evidence:
    """What is known of a version: its number, its score and the digest of the val manifest behind the score.

    `older`: that digest was made in the way of an earlier version of roadseg; it cannot be compared with a newer one.
    """

    version: int
    miou: float | None
    val_manifest: str
    older: bool = False


@dataclass(frozen=True)
class Decision:
    """The outcome, why in words, and the versions it is about; `champion` is None where there was none."""

    outcome: Literal["PROMOTE", "HOLD", "REJECT", "CHAMPION ALREADY"]
    reasons: tuple[str, ...]
    candidate: int
    champion: int | None

    @property
    def exit_code(self) -> int:
        """For `roadseg promote`: 0 where the candidate is champion now, else 4."""
        return DONE if self.outcome in {"PROMOTE", "CHAMPION ALREADY"} else HELD

    def __str__(self) -> str:
        return f"{self.outcome} version {self.candidate}: " + "; ".join(self.reasons)


def decide_by_score(candidate: Evidence, champion: Evidence | None) -> Decision:
    """Judge a candidate against the champion: strictly better on the same val manifest, or it stays out."""
    outcome, reason = _judge(candidate, champion)
    return Decision(outcome, (reason,), candidate.version, champion.version if champion else None)


def _judge(
    candidate: Evidence, champion: Evidence | None
) -> tuple[Literal["PROMOTE", "HOLD", "REJECT", "CHAMPION ALREADY"], str]:
    if champion and candidate.version == champion.version:
        return "CHAMPION ALREADY", "nothing to decide"
    if candidate.miou is None:
        return "HOLD", "the candidate has no score: evaluate and publish it"
    if champion is None:
        return "PROMOTE", f"first model, mIoU {candidate.miou:.4f}"
    if champion.miou is None:
        return "HOLD", f"champion {champion.version} has no score to compare with: evaluate and publish it"
    if candidate.older != champion.older:
        one = f"champion {champion.version}" if champion.older else "the candidate"
        return "HOLD", (
            f"the score of {one} stands under an older digest of the val manifest, so nothing says that both are of "
            "the same images: evaluate, publish and register that model again with this version of roadseg"
        )
    if candidate.val_manifest != champion.val_manifest:
        return "HOLD", (
            f"the scores are over different data (val manifest {candidate.val_manifest[:8]} and "
            f"{champion.val_manifest[:8]} of champion {champion.version}): evaluate both on the same"
        )
    compared = f"mIoU {candidate.miou:.4f} against {champion.miou:.4f} of champion {champion.version}"
    if candidate.miou > champion.miou:
        return "PROMOTE", f"better: {compared}"
    return "REJECT", f"not better: {compared}"
