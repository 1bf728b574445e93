"""The gate's answer, and its form in JSON."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

from roadseg.contracts.errors import DONE, HELD

Outcome = Literal["PROMOTE", "HOLD", "REJECT", "CHAMPION ALREADY"]
BY_A_PERSON = "a person must approve"  # how the reason begins where the policy leaves it to one


@dataclass(frozen=True)
class Difference:
    """Candidate less champion in mIoU, and how far drives drawn anew move it.

    Attributes:
        value: of all images together.
        low, high: the interval that holds the truth as often as the policy's confidence says.
        probability: how sure it is that the truth is above zero, 0..1, corrected for few drives.
        worse: the same of below zero by more than the policy's `loss`.
        deviation: standard deviation over resamples.
        needed: about how many drives would tell a difference of this size, or of `gain` where that is more, four times
            in five; None where no number would.
    """

    value: float
    low: float
    high: float
    probability: float
    worse: float
    deviation: float
    needed: int | None


@dataclass(frozen=True)
class Rule:
    """One rule, judged.

    Attributes:
        key: of the policy, such as `promote.protected_drop`.
        about: the class or slice that it is about; empty where it is about the whole.
        bound: what the policy asks for.
        figure: what was found, in the same unit, so a fall is above zero; None where it cannot be computed.
        held: whether the rule holds; None where nobody can tell.
        outcome: what the gate answers where it does not hold: REJECT or HOLD.
        sentence: all of that in words.
    """

    key: str
    about: str
    bound: float
    figure: float | None
    held: bool | None
    outcome: Outcome
    sentence: str


@dataclass(frozen=True)
class Regression:
    """An image that got worse: its own mIoU by the champion and by the candidate."""

    sample: str
    before: float
    after: float


@dataclass(frozen=True)
class LeftOut:
    """A drive that decides nothing: its name in `Evaluation.drives`, its images in val, and why."""

    drive: str
    images: int
    why: str


@dataclass(frozen=True)
class Judged:
    """A model that was judged: version, weights' digest, input key of its evaluation, mIoU over the drives used."""

    version: int
    weights: str | None
    key: str | None
    miou: float | None


@dataclass(frozen=True)
class Decision:
    """The outcome, why in words, and everything that it rests on.

    Attributes:
        outcome: PROMOTE (better, surely enough), REJECT (worse, surely enough, or a rule broken), HOLD (the data
            cannot tell, or something is missing), or CHAMPION ALREADY.
        reasons: sentences, the deciding one first.
        candidate: always there.
        champion: None where there is none.
        difference: None where nothing was compared.
        images: of the val split that were used.
        drives: names of those used, sorted.
        left_out: drives that were not used.
        rules: judged, in the order of the policy; empty where nothing was compared.
        regressions: images that got worse by more than `regression_drop`, worst first.
        policy: the policy's keys and values.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    candidate: Judged
    champion: Judged | None
    difference: Difference | None = None
    images: int = 0
    drives: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    rules: tuple[Rule, ...] = ()
    regressions: tuple[Regression, ...] = ()
    policy: dict[str, Any] | None = None

    @property
    def exit_code(self) -> int:
        """For `roadseg promote`: 0 where the candidate is champion now, else 4."""
        return DONE if self.outcome in {"PROMOTE", "CHAMPION ALREADY"} else HELD

    @property
    def for_a_person(self) -> bool:
        """Whether the gate would promote it, and leaves, or left, the last word to a person."""
        return any(reason.startswith(BY_A_PERSON) for reason in self.reasons)

    def __str__(self) -> str:
        return f"{self.outcome} version {self.candidate.version}: " + "; ".join(self.reasons)

    def to_json(self) -> dict[str, Any]:
        """Plain values of everything, as reports/decision.json holds them below its schema."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """What `to_json` gave, also after a way through JSON; other keys, such as the schema, are left alone."""
        known = {each.name: content[each.name] for each in fields(cls)}
        parts = {"left_out": LeftOut, "rules": Rule, "regressions": Regression}
        lists = {name: tuple(kind(**one) for one in known[name]) for name, kind in parts.items()}
        words = {name: tuple(known[name]) for name in ("reasons", "drives")}
        optional = {"champion": Judged, "difference": Difference}
        singles = {name: known[name] and kind(**known[name]) for name, kind in optional.items()}
        return cls(**known | lists | words | singles | {"candidate": Judged(**known["candidate"])})
