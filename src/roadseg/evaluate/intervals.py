"""How far a figure would move with other drives: bootstrap intervals from the counts of images."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.special import ndtr, stdtrit

from roadseg.contracts.evaluation import Counts

CHUNK = 100  # resamples in memory at once
Metric = Callable[[Counts], np.ndarray | None]


def intervals(
    counts: Counts,
    groups: Sequence[str],
    metrics: Mapping[str, Metric],
    *,
    resamples: int,
    seed: int,
    level: float = 0.95,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Percentile intervals of figures by drawing groups of images with replacement.

    The images of a drive are alike: drawn one by one they pass for more evidence than they are, and the interval comes
    out too narrow. Few groups make it too narrow as well, so the percentiles are moved outward as Student's t is from
    the normal distribution. docs/results/intervals.md shows both.

    Args:
        counts: those of N images.
        groups: a name for each image: its drive for the interval over drives, its own for the one over images.
        metrics: the figures by name; those that are None for the class table are left out.
        resamples: how often groups are drawn, as many each time as there are.
        seed: equal seeds give equal intervals.
        level: how often such an interval holds the truth.

    Returns:
        low and high by name, in the shape of the figure; NaN where there are fewer than two groups.

    Source: Field and Welsh, "Bootstrapping clustered data", JRSS B 2007, for the groups; Hesterberg, "What Teachers
    Should Know about the Bootstrap", The American Statistician 2015, for the percentiles.
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    of_groups, rng = counts.grouped(member), np.random.default_rng(seed)
    drawn: dict[str, list[np.ndarray]] = {}
    for first in range(0, resamples, CHUNK):
        sample = of_groups.weighted(draw_groups(len(names), min(CHUNK, resamples - first), rng))
        for name, metric in metrics.items():
            if (values := metric(sample)) is not None:
                drawn.setdefault(name, []).append(values)
    if len(names) < 2:
        unknown = {name: np.full(values[0].shape[1:], np.nan) for name, values in drawn.items()}
        return {name: (each, each) for name, each in unknown.items()}
    tail = tail_share(len(names), level)
    return {name: interval_ends(np.concatenate(values), tail) for name, values in drawn.items()}


def draw_groups(groups: int, times: int, rng: np.random.Generator) -> np.ndarray:
    """How often each group is drawn, int64 (times, groups)."""
    cells = rng.integers(groups, size=(times, groups)) + groups * np.arange(times)[:, None]
    return np.bincount(cells.ravel(), minlength=times * groups).reshape(times, groups)


def tail_share(groups: int, level: float) -> float:
    """Share of the resamples to leave out on either side of an interval, moved outward for few groups."""
    quantile = stdtrit(groups - 1, (1 - level) / 2)
    return float(ndtr(quantile * np.sqrt(groups / (groups - 1))))


def interval_ends(values: np.ndarray, tail: float) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles over the first axis without NaN, as of a class that a resample did not hold."""
    empty = ~np.isfinite(values).any(0)
    low, high = np.nanquantile(np.where(empty, 0, values), [tail, 1 - tail], axis=0)
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)
