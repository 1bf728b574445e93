"""Whether two sets of drives differ in any of several figures: one permutation test with one level for all of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

PLACES = 32  # values at which the two distributions of a figure are compared, quantiles of all frames
TOGETHER = 250  # permutations in memory at once


@dataclass(frozen=True)
class Shift:
    """How far a figure of new frames is from the reference.

    Attributes:
        figure: its name.
        distance: of Kolmogorov and Smirnov, 0..1: over all values, the largest difference between the two shares of
            frames that lie below; every drive counts alike.
        standard: that distance in deviations above its mean under permutation.
        probability: of so large a `standard` in any figure of the family where nothing has changed.
        before, after: medians.
    """

    figure: str
    distance: float
    standard: float
    probability: float
    before: float
    after: float


def find_shifts(
    reference: pd.DataFrame, new: pd.DataFrame, figures: Sequence[str], *, permutations: int, seed: int
) -> list[Shift]:
    """Compare figures of frames, permuting whole drives: frames of one drive are not independent.

    Each figure's distance is standardised by its own mean and deviation under the permutations, and judged by the
    largest of all figures under the same permutations, so that the probabilities hold for the whole family.

    Args:
        reference, new: a row per frame: `drive` and the figures. A drive of one is none of the other.
        figures: the family.
        permutations: drawn, beside the one that was observed.
        seed: of the draws.

    Returns:
        One for each figure, in order.

    Source: P. Westfall and S. Young, "Resampling-Based Multiple Testing", 1993, single-step maxT.
    """
    places = {each: _places(pd.concat([new[each], reference[each]]).to_numpy(float)) for each in figures}
    below = np.concatenate([_below(frame, places) for frame in (new, reference)])
    starts = np.cumsum([0] + [2 * len(values) for values in places.values()])[:-1]
    drives, chosen = len(below), new["drive"].nunique()
    rng, found = np.random.default_rng(seed), [_distances(below, starts, np.arange(chosen)[None], chosen)]
    for first in range(0, permutations, TOGETHER):
        draws = rng.random((min(TOGETHER, permutations - first), drives))
        found.append(_distances(below, starts, draws.argpartition(chosen - 1, axis=1)[:, :chosen], chosen))
    distances = np.concatenate(found)
    spread = distances.std(0)
    standard = (distances - distances.mean(0)) / np.where(spread > 0, spread, 1)
    largest = standard.max(1)
    return [
        Shift(
            figure=figure,
            distance=float(distances[0, number]),
            standard=float(standard[0, number]),
            # rounding must not make a permutation that equals the observed one look smaller
            probability=float((largest >= standard[0, number] - 1e-9).mean()),
            before=_median(reference, figure),
            after=_median(new, figure),
        )
        for number, figure in enumerate(figures)
    ]


def least_probability(reference: int, new: int) -> float:
    """The smallest probability that permuting so many drives can show: both ends are equally far away."""
    return min(1.0, 2 / math.comb(reference + new, new))


def weights(frame: pd.DataFrame) -> np.ndarray:
    """A weight for each frame, float (N,), with which every drive counts alike; they sum to 1."""
    sizes = frame.groupby("drive")["drive"].transform("size").to_numpy(float)
    return np.asarray(1 / sizes / frame["drive"].nunique())


def _places(values: np.ndarray) -> np.ndarray:
    return np.unique(np.quantile(values, np.linspace(0, 1, PLACES), method="nearest"))


def _below(frame: pd.DataFrame, places: dict[str, np.ndarray]) -> np.ndarray:
    """By drive the share of its frames below a place, and up to it, (D, sum of 2 P): a value may have most frames."""
    drives, member = np.unique(frame["drive"].to_numpy(str), return_inverse=True)
    share = 1 / np.bincount(member)[member]
    mean = csr_array((share, (member, np.arange(len(frame)))), shape=(len(drives), len(frame)))
    columns = []
    for figure, values in places.items():
        of_frames = frame[figure].to_numpy(float)[:, None]
        columns += [mean @ (of_frames < values).astype(float), mean @ (of_frames <= values).astype(float)]
    return np.concatenate(columns, axis=1)


def _distances(below: np.ndarray, starts: np.ndarray, chosen: np.ndarray, count: int) -> np.ndarray:
    """Distance of each figure where these drives, (P, count), are the new ones and all others the reference; (P, F)."""
    drives, total = len(below), below.sum(0)
    marks = np.zeros((len(chosen), drives))
    np.put_along_axis(marks, chosen, 1, axis=1)
    new = marks @ below
    apart = np.abs(new / count - (total - new) / (drives - count))
    return np.maximum.reduceat(apart, starts, axis=1)


def _median(frame: pd.DataFrame, figure: str) -> float:
    values, share = frame[figure].to_numpy(float), weights(frame)
    order = values.argsort()
    return float(values[order][np.searchsorted(share[order].cumsum(), 0.5 - 1e-12)])
