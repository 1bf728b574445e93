"""Whether new pictures drift: the two families of figures under one level, and the sentence that says so."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from roadseg.contracts.files import write_json
from roadseg.drift.figures import ANSWER, PICTURE, SHARE
from roadseg.drift.limits import DISTANCE, LEVEL, PERMUTATIONS
from roadseg.drift.reference import Reference
from roadseg.drift.two_sample import Shift, find_shifts, least_probability

if TYPE_CHECKING:
    from roadseg.predict.predictor import Predictor

NAMED = 5  # figures in the sentence; the page has all
FAMILIES = 2  # the figures of the picture, and of the answer; each gets an equal part of the level


@dataclass(frozen=True)
class Family:
    """Figures that are compared together.

    Attributes:
        name: `picture` or `answer`.
        shifts: by figure, the probability multiplied by `FAMILIES` and so to be held against the level of all.
        drives: of the reference, and of the new pictures.
        tellable: whether so few drives can show a drift at this level at all.
    """

    name: str
    shifts: list[Shift]
    drives: tuple[int, int]
    tellable: bool


@dataclass(frozen=True)
class Finding:
    """The answer.

    Attributes:
        families: what was compared.
        level: probability of a false alarm in any figure.
        distance: least distance that counts.
        frames: new pictures that were compared.
        faults: why others could not be.
    """

    families: list[Family]
    level: float
    distance: float
    frames: int
    faults: list[str]

    @property
    def drifted(self) -> list[Shift]:
        """The figures that drift, the surest and then the farthest first."""
        found = [shift for family in self.families for shift in family.shifts if self.counts(shift)]
        return sorted(found, key=lambda shift: (shift.probability, -shift.standard))

    def counts(self, shift: Shift) -> bool:
        """Whether a shift is sure enough and far enough."""
        return shift.probability <= self.level and shift.distance >= self.distance

    @property
    def sentence(self) -> str:
        """What people are told."""
        drives = self.families[0].drives[1]
        looked = f"{self.frames} pictures of {drives} {'drive' if drives == 1 else 'drives'}"
        blind = [family.name for family in self.families if not family.tellable]
        few = (
            f"; too few drives to tell by the {' or the '.join(blind)}: give each a folder of its own" if blind else ""
        )
        if not self.drifted:
            return f"no drift in {looked}{few}"
        more = f" and {len(self.drifted) - NAMED} more" if len(self.drifted) > NAMED else ""
        return f"drift in {looked}: {', '.join(map(_in_words, self.drifted[:NAMED]))}{more}{few}"

    def to_json(self) -> dict[str, Any]:
        """As `drift.json` holds it."""
        return {**asdict(self), "drifted": [shift.figure for shift in self.drifted], "sentence": self.sentence}


@dataclass(frozen=True)
class Seen:
    """A folder of new pictures as the champion sees it.

    Attributes:
        version: of the champion.
        predictor: has answered the pictures.
        reference: that they are compared with.
        new: their figures, see `measure`.
        finding: the answer.
    """

    version: int
    predictor: "Predictor"
    reference: Reference
    new: pd.DataFrame
    finding: Finding


def find_drift(
    reference: Reference,
    new: pd.DataFrame,
    *,
    level: float = LEVEL,
    distance: float = DISTANCE,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    faults: Sequence[str] = (),
) -> Finding:
    """Compare new pictures with train, and the champion's answers to them with those on val.

    Args:
        reference: of the champion.
        new: what `measure` says of the new pictures, answered by the champion with the reference's settings.
        level: probability of a false alarm in any figure.
        distance: least distance that counts, 0..1.
        permutations: drawn for each family.
        seed: of the draws.
        faults: for the finding.
    """
    answers = [name for name in map(str, new) if name in ANSWER or name.startswith(SHARE)]
    families = []
    for name, split, figures in (("picture", "train", list(PICTURE)), ("answer", "val", answers)):
        known = reference.split(split)
        shifts = find_shifts(known, new, figures, permutations=permutations, seed=seed)
        drives = known["drive"].nunique(), new["drive"].nunique()
        tellable = FAMILIES * least_probability(*drives) <= level
        families.append(Family(name, list(map(_of_all, shifts)), drives, tellable))
    return Finding(families, level, distance, len(new), list(faults))


def write_finding(path: Path, finding: Finding) -> None:
    """Write it as JSON."""
    write_json(path, "drift-finding", finding.to_json())


def _of_all(shift: Shift) -> Shift:
    return Shift(**asdict(shift) | {"probability": min(1.0, FAMILIES * shift.probability)})


def _in_words(shift: Shift) -> str:
    direction = (
        "higher" if shift.after > shift.before else "lower" if shift.after < shift.before else "spread otherwise"
    )
    return f"{shift.figure} {direction} ({shift.before:.3g} to {shift.after:.3g})"
