"""How far a candidate is from the champion, and how sure that is when drives are drawn anew."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr

from roadseg.evaluate.intervals import draw_groups, interval_ends, tail_share
from roadseg.evaluate.measures import mean
from roadseg.gate.decision import Difference

RESAMPLES, CHUNK = 2000, 500  # draws, and how many of them are in memory at once
POWER = 0.8  # how often a difference should be told, by the number of drives that is asked for

Figure = Callable[[np.ndarray], np.ndarray]  # of what a pair counts, summed over drives


def overlaps(confusion: np.ndarray) -> np.ndarray:
    """Intersection and union of each class, pixels, (..., K, K + 1) to float64 (..., K, 2).

    They add up over images as counts do and are all that an IoU needs: resamples of them are K / 2 times cheaper.
    """
    hit = np.diagonal(confusion[..., :-1], axis1=-2, axis2=-1).astype(np.float64)
    return np.stack([hit, confusion.sum(-1) + confusion[..., :-1].sum(-2) - hit], -1)


def class_ious(counted: np.ndarray) -> np.ndarray:
    """IoU of each class, overlaps (..., K, 2) to (..., K); NaN where absent, as in `iou`."""
    hit, union = counted[..., 0], counted[..., 1]
    return np.asarray(np.divide(hit, union, out=np.full(hit.shape, np.nan), where=union > 0))


def miou(counted: np.ndarray) -> np.ndarray:
    """Mean over the classes that occur, overlaps (..., K, 2) to (...)."""
    return mean(class_ious(counted))


@dataclass(frozen=True)
class Pair:
    """Counts of two models by drive, float64 (D, ...), whole numbers; the same images behind both."""

    champion: np.ndarray
    candidate: np.ndarray

    @property
    def drives(self) -> int:
        """D."""
        return len(self.champion)

    def difference(self, figure: Figure) -> np.ndarray:
        """Candidate less champion over all drives."""
        return figure(self.candidate.sum(0)) - figure(self.champion.sum(0))

    def redrawn(self, figure: Figure, seed: int) -> np.ndarray:
        """The difference in resamples of as many drives, the same ones for both models, (RESAMPLES, ...)."""
        rng, found = np.random.default_rng(seed), []
        for times in _chunks():
            drawn = draw_groups(self.drives, times, rng).astype(np.float64)
            found.append(figure(np.tensordot(drawn, self.candidate, 1)) - figure(np.tensordot(drawn, self.champion, 1)))
        return np.concatenate(found)

    def swapped(self, figure: Figure, seed: int) -> np.ndarray:
        """The difference where in a random half of the drives each model has the other's counts, (RESAMPLES, ...).

        What would be seen if the two were one model. Source: Fisher's randomization test, as in Ernst, "Permutation
        Methods: A Basis for Exact Inference", Statistical Science 2004.
        """
        rng, found = np.random.default_rng(seed), []
        champion, candidate, apart = self.champion.sum(0), self.candidate.sum(0), self.candidate - self.champion
        for times in _chunks():
            moved = np.tensordot(rng.integers(2, size=(times, self.drives)).astype(np.float64), apart, 1)
            found.append(figure(candidate - moved) - figure(champion + moved))
        return np.concatenate(found)


def surely_above(redrawn: np.ndarray, bound: float, drives: int | np.ndarray) -> np.ndarray:
    """How sure it is that the truth is above a bound, 0..1, from resamples (R, ...).

    Few drives make plain shares too sure: they are moved as the tails of intervals are, see `tail_share`.

    Args:
        redrawn: see `Pair`; NaN where a resample says nothing.
        bound: the bound.
        drives: behind each difference, one number or (...).

    Returns:
        NaN where fewer than two drives or no resample tell.
    """
    known = np.isfinite(redrawn).sum(0)
    below = ((redrawn <= bound).sum(0) + 0.5) / (known + 1)
    others = np.maximum(np.asarray(drives) - 1, 1)
    sure = 1 - stdtr(others, ndtri(below) * np.sqrt(others / (others + 1)))
    return np.where((known > 0) & (np.asarray(drives) > 1), sure, np.nan)


def surely_better(redrawn: np.ndarray, swapped: np.ndarray, value: np.ndarray, drives: int) -> np.ndarray:
    """How sure it is that a difference is above zero, 0..1: the lesser of what resampling and swapping say.

    With few drives, or where a model loses a rare class and wins others, resampling alone promotes too often;
    docs/results/gate.md shows both.

    Args:
        redrawn, swapped: see `Pair`, (R, ...).
        value: the difference, (...).
        drives: behind it.
    """
    by_chance = ((swapped >= value).sum(0) + 1) / (len(swapped) + 1)
    return np.asarray(np.minimum(surely_above(redrawn, 0.0, drives), 1 - by_chance))


@dataclass(frozen=True)
class Told:
    """What resampling and swapping tell of differences; arrays of one shape (...), but for `redrawn`.

    Attributes:
        value: candidate less champion.
        better: how sure it is that the candidate is better, 0..1.
        worse: the same of worse by more than the loss.
        redrawn: the differences in resamples, (R, ...).
    """

    value: np.ndarray
    better: np.ndarray
    worse: np.ndarray
    redrawn: np.ndarray


def tell_apart(pair: Pair, figure: Figure, loss: float, seed: int) -> Told:
    """How sure it is which of two models is better."""
    value, drives = pair.difference(figure), pair.drives
    redrawn, swapped = pair.redrawn(figure, seed), pair.swapped(figure, seed + 1)
    better = surely_better(redrawn, swapped, value, drives)
    worse = surely_better(-redrawn, -swapped, -value, drives)
    return Told(value, better, np.minimum(worse, surely_above(-redrawn, loss, drives)), redrawn)


def measure_difference(pair: Pair, *, confidence: float, gain: float, loss: float, seed: int) -> Difference:
    """The difference in mIoU of two models; see `Difference`."""
    told, drives = tell_apart(pair, miou, loss, seed), pair.drives
    low, high = interval_ends(told.redrawn, tail_share(drives, confidence)) if drives > 1 else (np.nan, np.nan)
    value, deviation = float(told.value), float(told.redrawn.std())
    needed = _needed(drives, deviation, confidence, max(abs(value), gain))
    return Difference(value, float(low), float(high), float(told.better), float(told.worse), deviation, needed)


def _needed(drives: int, deviation: float, confidence: float, effect: float) -> int | None:
    """Drives with which an effect is told with that confidence, `POWER` of the times."""
    if not effect or not deviation or not np.isfinite(deviation):
        return None
    times = ((ndtri(confidence) + ndtri(POWER)) * deviation / effect) ** 2
    return int(np.ceil(drives * times))


def _chunks() -> list[int]:
    return [min(CHUNK, RESAMPLES - first) for first in range(0, RESAMPLES, CHUNK)]
