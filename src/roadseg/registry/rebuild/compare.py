"""A rebuilt model beside the registered one."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from roadseg.contracts import paths
from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import DEFECT, DONE
from roadseg.contracts.evaluation import STORED, read_evaluation, read_scores
from roadseg.contracts.files import digest_file
from roadseg.registry.rebuild.recorded import Recorded

PROCESSOR = ("instruction_set", "precision")  # `auto` takes the precision from the processor


@dataclass(frozen=True)
class Comparison:
    """What a rebuild says of a version.

    Attributes:
        version: its number.
        weights: digest of the rebuilt weights.
        miou: of the rebuilt model.
        differences: one line each; none where all is equal.
        processor: how this processor differs from the one it was trained on, one line each.
        causes: what else the two trainings differ in.
    """

    version: int
    weights: str
    miou: float | None
    differences: tuple[str, ...]
    processor: tuple[str, ...]
    causes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 where all is equal or the processor is of another kind, else 1."""
        return DONE if self.processor or not self.differences else DEFECT

    @property
    def lines(self) -> list[str]:
        """For people, the outcome first."""
        miou = "?" if self.miou is None else f"{self.miou:.4f}"
        if not self.differences:
            return [f"equal: version {self.version} was rebuilt, weights {self.weights[:12]}, mIoU {miou}"]
        kind = "on another kind of processor, " if self.processor else ""
        said = [f"differs: version {self.version} was rebuilt {kind}with other results"]
        return said + [f"  {line}" for line in (*self.differences, *self.processor, *self.causes)]


def compare_rebuilt(recorded: Recorded, tree: Path) -> Comparison:
    """Compare what the graph made in a tree with what is registered."""
    before, after = recorded.bundle, Bundle.open(tree / paths.BUNDLE)
    now = read_scores(tree / paths.EVALUATION)
    differences = [*_weights(recorded, after), *_scores(recorded.evaluation, tree / paths.EVALUATION)]
    known, found = asdict(before.surroundings), asdict(after.surroundings)
    others = {key: (known[key], found[key]) for key in known if known[key] is not None and known[key] != found[key]}
    said = {key: f"{key}: {there} there, {here} here" for key, (there, here) in others.items()}
    processor = tuple(line for key, line in said.items() if key in PROCESSOR)
    causes = [line for key, line in said.items() if key not in PROCESSOR]
    causes += [f"{what}: not the same" for what in ("data", "code") if before.card.get(what) != after.card.get(what)]
    params = before.card["params"], after.card["params"]
    causes += [
        f"train.{key}: {params[0].get(key)} there, {params[1].get(key)} here"
        for key in sorted(params[0].keys() | params[1].keys())
        if params[0].get(key) != params[1].get(key)
    ]
    return Comparison(
        recorded.version, after.card["weights"], now["miou"], tuple(differences), processor, tuple(causes)
    )


def _weights(recorded: Recorded, after: Bundle) -> list[str]:
    before = recorded.bundle
    there, here = before.card["weights"], after.card["weights"]
    found = []
    if there != here:
        found.append(f"weights: {there[:12]} registered, {here[:12]} rebuilt")
    elif digest_file(before.folder / "model.keras") != digest_file(after.folder / "model.keras"):
        found.append("model.keras: other bytes, though both cards name the same weights")
    return found


def _scores(before: Path, after: Path) -> list[str]:
    there, here = read_scores(before), read_scores(after)
    others = [name for name in sorted(there.keys() | here.keys()) if there.get(name) != here.get(name)]
    found = []
    if others:
        found.append(f"scores: {len(others)} figures ({', '.join(others[:3])}{', ...' * (len(others) > 3)})")
        found.append(f"mIoU: {there['miou']} registered, {here['miou']} rebuilt")
    counts = read_evaluation(before).counts, read_evaluation(after).counts
    unequal = [name for name in STORED if not np.array_equal(*(getattr(each, name) for each in counts))]
    if unequal:
        found.append(f"counts of images: {', '.join(unequal)}")
    return found
