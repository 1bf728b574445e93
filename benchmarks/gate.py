"""What the gate can tell apart, on simulated pairs of models whose true difference is known, and what a decision takes.

Drives of 1 to 21 images have a mix of classes and a recall by class of their own, the same for both models, and another
one in which the models differ by chance. It is set up to spread as two trainings on IDD Lite do: over 48 drives a
difference has a standard deviation of 0.0035, an mIoU one of 0.0115.

Example: `python -m benchmarks.gate 2000`, pairs a cell
"""

import json
import sys
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.special import expit, logit

from benchmarks.machine import machine
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.evaluation import BINS, Counts
from roadseg.evaluate.scores import evaluated
from roadseg.gate.decide import decide
from roadseg.gate.difference import Pair, Told, miou, overlaps, surely_above, tell_apart
from roadseg.gate.evidence import Evidence
from roadseg.gate.policy import Policy

PIXELS = 320 * 227  # of an image
SHARES = np.array([0.33, 0.023, 0.015, 0.075, 0.11, 0.262, 0.185])  # of the classes in the val split of IDD Lite
RECALL = np.array([0.97, 0.5, 0.42, 0.78, 0.68, 0.9, 0.965])
MIX, BETWEEN, APART = 25, 0.55, 0.125  # Dirichlet's sum; deviations of a recall, logit: of a drive, of a model in it
RARE = 2  # of the classes
FAR = 20_000  # drives that stand for all there are
TRUE = (0.0, 0.003, -0.003, 0.006, -0.006, 0.011, -0.011, 0.0156, -0.0156)
DRIVES = (12, 24, 48, 100)
TOGETHER = 50  # pairs that share their draws
POLICY = Policy(**yaml.safe_load((Path(__file__).parent.parent / "params.yaml").read_text())["promote"])


@dataclass(frozen=True)
class World:
    """How two models truly differ: what the candidate's recall of the rare class gains, logit; the others balance it.

    At 0 all classes differ alike. 0.55 is a tenth of IoU in the rare class, as two seeds had it.
    """

    rare: float


WORLDS = {"alike": World(0.0), "rare class lost": World(-0.55), "rare class won": World(0.55)}


def lengths(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Images of drives, 1 to 21, median 3."""
    found: np.ndarray = np.clip(np.rint(3 * np.exp(0.95 * rng.normal(size=shape))), 1, 21)
    return found


def pixels(rng: np.random.Generator, images: np.ndarray, shares: np.ndarray = SHARES) -> np.ndarray:
    """True pixels by class, (..., K)."""
    mix = rng.gamma(MIX * shares * np.ones((*images.shape, len(shares))))
    return np.asarray(PIXELS * images[..., None] * mix / mix.sum(-1, keepdims=True))


def confusions(true: np.ndarray, logits: np.ndarray, shares: np.ndarray = SHARES) -> np.ndarray:
    """Expected confusion counts, (..., K, K + 1): what is missed is taken for the others by their shares."""
    others = np.where(np.eye(len(shares), dtype=bool), 0, shares)
    others = np.pad(others / others.sum(-1, keepdims=True), ((0, 0), (0, 1)))
    hit = true * expit(logits)
    diagonal = np.pad(np.eye(len(shares)), ((0, 0), (0, 1)))
    found: np.ndarray = hit[..., None] * diagonal + (true - hit)[..., None] * others
    return found


@cache
def shift(world: World, true: float) -> tuple[float, ...]:
    """What to add to the logits of a candidate so that its mIoU truly differs by that much, (K,)."""
    rng = np.random.default_rng(0)
    images = lengths(rng, (FAR,))
    there, spread = pixels(rng, images), np.hypot(BETWEEN, APART) * rng.normal(size=(FAR, len(SHARES)))
    own, others = np.zeros(len(SHARES)), np.ones(len(SHARES))
    own[RARE], others[RARE] = world.rare, not world.rare

    def score(added: np.ndarray) -> float:
        return float(miou(overlaps(confusions(there, logit(RECALL) + spread + added).sum(0))))

    low, high, champion = -1.0, 1.0, score(np.zeros(len(SHARES)))
    for _ in range(18):
        middle = (low + high) / 2
        low, high = (middle, high) if score(own + middle * others) - champion < true else (low, middle)
    return tuple(own + low * others)


def drawn(drives: int, pairs: int, added: np.ndarray, rng: np.random.Generator) -> Pair:
    """Pairs of models on val splits of their own, overlaps (D, P, K, 2)."""
    true = pixels(rng, lengths(rng, (drives, pairs)))
    base = logit(RECALL) + BETWEEN * rng.normal(size=true.shape)
    both = (base + APART * rng.normal(size=true.shape) + more for more in (0, added))
    return Pair(*(overlaps(confusions(true, logits)) for logits in both))


def by_difference(told: Told, policy: Policy) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs the gate promotes and which it rejects where no rule is broken, as `reasons.by_difference` does."""
    return (told.better >= policy.confidence) & (told.value >= policy.gain), told.worse >= policy.confidence


def outcomes(world: World, true: float, drives: int, pairs: int, policy: Policy, seed: int = 0) -> dict[str, Any]:
    """Shares of pairs that the difference promotes, holds and rejects.

    Beside them what resampling alone would promote: by plain percentiles, and by ones moved for few drives.
    """
    added, rng = np.array(shift(world, true)), np.random.default_rng(seed)
    promoted, rejected, plain, moved, values = [], [], [], [], []
    for _ in range(-(-pairs // TOGETHER)):
        pair = drawn(drives, TOGETHER, added, rng)
        told = tell_apart(pair, miou, policy.loss, int(rng.integers(2**31)))
        up, down = by_difference(told, policy)
        promoted.append(up)
        rejected.append(down)
        plain.append((told.redrawn > 0).mean(0) >= policy.confidence)
        moved.append(surely_above(told.redrawn, 0.0, drives) >= policy.confidence)
        values.append(told.value)
    shares = {"promote": float(np.mean(promoted)), "reject": float(np.mean(rejected))}
    shares |= {"hold": 1 - sum(shares.values()), "plain": float(np.mean(plain)), "moved": float(np.mean(moved))}
    return {"true": true, "drives": drives, **shares, "deviation": float(np.std(values))}


def weeks(spread: float, histories: int, policy: Policy, *, drives: int = 48, seed: int = 0) -> dict[str, float]:
    """Fifty candidates of one recipe against one val split: how often the champion got truly worse.

    Args:
        spread: standard deviation of a candidate's true mIoU.
        histories: simulated, each with a val split of its own.
        policy: of the gate.
        drives: of the val split.
        seed: of all draws.
    """
    rng, slope = np.random.default_rng(seed), 0.01 / shift(WORLDS["alike"], 0.01)[0]  # mIoU for a logit
    true = pixels(rng, lengths(rng, (drives, histories)))
    base = logit(RECALL) + BETWEEN * rng.normal(size=true.shape)

    def candidate() -> tuple[np.ndarray, np.ndarray]:
        quality = spread * rng.normal(size=histories)
        logits = base + APART * rng.normal(size=true.shape) + quality[:, None] / slope
        return quality, overlaps(confusions(true, logits))

    quality, champion = candidate()
    first, moves, worse, lost = quality, 0, 0, 0.0
    for _ in range(50):
        new, answers = candidate()
        told = tell_apart(Pair(champion, answers), miou, policy.loss, int(rng.integers(2**31)))
        up, _ = by_difference(told, policy)
        moves, worse = moves + int(up.sum()), worse + int((up & (new < quality)).sum())
        lost = max(lost, float((quality - new)[up].max(initial=0)))
        quality, champion = np.where(up, new, quality), np.where(up[:, None, None], answers, champion)
    ended = quality - first
    return {
        "spread": spread,
        "promotions": moves / histories,
        "truly_worse": worse / histories,
        "largest_loss": lost,
        "ended_below_first": float((ended < 0).mean()),
        "ended_gain": float(ended.mean()),
    }


def evidence(images: int, classes: int, seed: int = 0, added: float = 0.3) -> tuple[Evidence, Evidence]:
    """Candidate and champion with counts of single images, of a table of seven classes or IDD's of 26."""
    rng, table = np.random.default_rng(seed), ClassTable.find({7: "idd-level1", 26: "idd-level3"}[classes])
    shares = SHARES if classes == 7 else rng.dirichlet(np.ones(classes))
    recall = logit(RECALL) if classes == 7 else rng.normal(1, 1, classes)
    member = np.repeat(np.arange(images), lengths(rng, (images,)).astype(int))[:images]
    true = pixels(rng, np.ones(images), shares)
    base = recall + BETWEEN * rng.normal(size=(images, classes))[member] + 0.3 * rng.normal(size=true.shape)
    rows = [
        {"sample": f"val/{drive}/{number}", "drive": f"d{drive}", "brightness": rng.random(), "sharpness": rng.random()}
        for number, drive in enumerate(member)
    ]
    empty = np.zeros((images, classes, 4), np.uint32), np.zeros((images, BINS, 3), np.int64)
    found = []
    for version, more in ((2, added), (1, 0.0)):
        logits = base + APART * rng.normal(size=(images, classes))[member] + more
        matrices = confusions(true, logits, shares).astype(np.uint32)
        matrices[..., -1] = np.round(true) - matrices.sum(
            -1
        )  # void takes what was cut off, so that both have one truth
        counted = Counts(matrices, *empty, classes=table)
        evaluation = replace(evaluated(rows, counted), weights="w" * 64, val_manifest="v" * 64)
        found.append(Evidence(version, evaluation, {"flip": False}, size=1_000_000, seconds=0.01))
    return found[0], found[1]


def seconds(images: int, classes: int, added: float) -> dict[str, Any]:
    """Of a whole decision about a candidate whose logits of right answers are that much higher.

    Where all slices fall each of them is resampled: that takes longest.
    """
    pair = evidence(images, classes, added=added)
    start = time.monotonic()
    decision = decide(*pair, POLICY)
    took = time.monotonic() - start
    about = {"images": images, "classes": classes, "drives": len(decision.drives), "rules": len(decision.rules)}
    return {**about, "seconds": took, "outcome": decision.outcome}


def main() -> None:
    """Time a decision and simulate; prints one JSON object."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    found: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), **machine(), "pairs": pairs}
    found["decisions"] = [seconds(2000, *each) for each in ((7, 0.3), (7, -0.3), (26, 0.3), (26, -0.3))]
    for name, world in WORLDS.items():
        cells = [(true, drives) for true in TRUE for drives in DRIVES]
        found[name] = [outcomes(world, *cell, pairs, POLICY, seed=number) for number, cell in enumerate(cells)]
    found["weeks"] = [weeks(spread, max(pairs // 10, 1), POLICY) for spread in (0.003, 0.006, 0.011)]
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
