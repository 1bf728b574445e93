"""How far a figure would move with other drives: bootstrap intervals from the counts of images."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

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
    out too narrow. docs/results/intervals.md shows by how much.

    Args:
        counts: of N images.
        groups: of each image, its drive for the interval over drives, its name for the one over images.
        metrics: the figures by name; those that are None for the class table are left out.
        resamples: how often groups are drawn, as many each time as there are.
        seed: equal seeds give equal intervals.
        level: share of the resamples between low and high.

    Returns:
        low and high by name, in the shape of the figure; NaN where there are fewer than two groups.

    Source: Field and Welsh, "Bootstrapping clustered data", JRSS B 2007: the cluster bootstrap.
    """
    names, member = np.unique(np.asarray(groups), return_inverse=True)
    of_groups, rng = counts.grouped(member), np.random.default_rng(seed)
    drawn: dict[str, list[np.ndarray]] = {}
    for first in range(0, resamples, CHUNK):
        sample = of_groups.weighted(_draw(len(names), min(CHUNK, resamples - first), rng))
        for name, metric in metrics.items():
            if (values := metric(sample)) is not None:
                drawn.setdefault(name, []).append(values)
    found = {name: _ends(np.concatenate(values), level) for name, values in drawn.items()}
    if len(names) < 2:
        return {name: (np.full_like(low, np.nan), np.full_like(high, np.nan)) for name, (low, high) in found.items()}
    return found


def _draw(groups: int, times: int, rng: np.random.Generator) -> np.ndarray:
    """How often each group is drawn, int64 (times, groups)."""
    cells = rng.integers(groups, size=(times, groups)) + groups * np.arange(times)[:, None]
    return np.bincount(cells.ravel(), minlength=times * groups).reshape(times, groups)


def _ends(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles over the first axis without NaN, as of a class that a resample did not hold."""
    empty = ~np.isfinite(values).any(0)
    low, high = np.nanquantile(np.where(empty, 0, values), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)
