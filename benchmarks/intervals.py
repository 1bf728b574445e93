"""How often the 95 % intervals of mIoU hold the truth, on simulated drives whose spread is known.

A drive has a recall of its own for each class, its images scatter around it: what makes 226 frames of 48 drives less
than 226 frames. The truth is the mIoU over far more drives than are ever evaluated.
Example: `python -m benchmarks.intervals 1000`
"""

import json
import sys
import time
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.machine import machine
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.confusion import iou
from roadseg.contracts.evaluation import BINS, Counts
from roadseg.evaluate.intervals import intervals
from roadseg.evaluate.measures import mean

CLASSES = ClassTable.model_validate({"name": "four", "classes": [{"id": k, "name": f"class {k}"} for k in range(4)]})
RECALL = np.array([3.5, 2.0, 1.0, 0.5])  # logits: 0.97, 0.88, 0.73, 0.62
SHARES = np.array([8.0, 4.0, 1.0, 0.5])  # of a Dirichlet: the hard classes are rare, as on roads
PIXELS, MANY = 256 * 128, 50_000


@dataclass(frozen=True)
class World:
    """What is simulated.

    Attributes:
        drives: evaluated.
        images: of a drive on average; drives differ in length.
        between: standard deviation of a class's recall between drives, logit.
        scenes: images of one drive show the same mix of classes.
        within: as `between`, between images of one drive.
    """

    drives: int
    images: int
    between: float
    scenes: bool = True
    within: float = 0.3


WORLDS = [
    World(48, 5, 0.0, scenes=False),
    World(48, 5, 0.3),
    World(48, 5, 0.8),
    World(12, 5, 0.8),
    World(24, 5, 0.8),
    World(100, 5, 0.8),
    World(48, 20, 0.8),
]


def simulate(world: World, drives: int, rng: np.random.Generator) -> tuple[Counts, list[str]]:
    """Counts of the images of some drives, and the drive of each."""
    lengths = 1 + rng.poisson(world.images - 1, drives)
    member = np.repeat(np.arange(drives), lengths)
    logits = RECALL + world.between * rng.normal(size=(drives, 4))[member]
    recalls = 1 / (1 + np.exp(-logits - world.within * rng.normal(size=(len(member), 4))))
    mixes = rng.dirichlet(SHARES, drives)[member] if world.scenes else rng.dirichlet(SHARES, len(member))
    pixels = rng.multinomial(PIXELS, mixes)
    hits = np.rint(pixels * recalls).astype(np.int64)
    confusion = np.zeros((len(member), 4, 5), np.int64)
    for k in range(4):
        wrong, others = pixels[:, k] - hits[:, k], [other for other in range(4) if other != k]
        confusion[:, k, k], confusion[:, k, others] = hits[:, k], rng.multinomial(wrong, [1 / 3] * 3)
    empty = np.zeros((len(member), 4, 4), np.int64), np.zeros((len(member), BINS, 3), np.int64)
    return Counts(confusion, *empty, classes=CLASSES), [f"drive {number}" for number in member]


def miou(counts: Counts) -> np.ndarray:
    """The figure whose intervals are tried."""
    return mean(iou(counts.confusion))


def coverage(world: World, repeats: int, resamples: int, seed: int = 0) -> dict[str, float]:
    """Share of evaluations whose interval holds the truth, over drives and over images, and its mean width."""
    rng = np.random.default_rng(seed)
    truth = float(miou(simulate(world, MANY, rng)[0].total()))
    held: dict[str, list[bool]] = {"drives": [], "images": []}
    width: dict[str, list[float]] = {"drives": [], "images": []}
    for _ in range(repeats):
        counts, drives = simulate(world, world.drives, rng)
        for name, groups in (("drives", drives), ("images", [str(number) for number in range(len(drives))])):
            low, high = intervals(counts, groups, {"miou": miou}, resamples=resamples, seed=int(rng.integers(2**31)))[
                "miou"
            ]
            held[name].append(bool(low <= truth <= high))
            width[name].append(float(high - low))
    found = {"truth": truth}
    for name in held:
        found |= {f"{name}_coverage": float(np.mean(held[name])), f"{name}_width": float(np.mean(width[name]))}
    return found


def main() -> None:
    """Simulate every world; prints one JSON object."""
    repeats, resamples = int(sys.argv[1]) if len(sys.argv) > 1 else 1000, 1000
    rows = [asdict(world) | coverage(world, repeats, resamples) for world in WORLDS]
    about = {"repeats": repeats, "resamples": resamples, "date": time.strftime("%Y-%m-%d"), **machine()}
    print(json.dumps({**about, "worlds": rows}, indent=1))


if __name__ == "__main__":
    main()
