"""Evidence that a mask was resized with an interpolating filter."""

import numpy as np

LEAST_EDGES = 100  # fewer say nothing about how a mask was resized
THIN = 0.3  # share of a class's pixels at edges from which the class is thin, as a curb or a lane's line is
ALONE = 0.8  # share of the pixels between two classes from which one class is what lies between them


def interpolation(mask: np.ndarray) -> float | None:
    """Evidence that a mask was resized with an interpolating filter.

    A filter that mixes ids puts ids between those of the two sides at an edge, also where each of them is valid. So: of
    all pixels whose left and right (or upper and lower) neighbours differ by two ids or more, the share that lies
    strictly between them. A true class one pixel wide lies there too: it is left out where most of what lies between
    two classes is one class, and that class is thin wherever it is. Measured on IDD Lite: intact masks at most 0.10,
    after a bilinear, bicubic or Lanczos resize mostly 0.15 to 1 (docs/decisions.md).

    Args:
        mask: uint8 (H, W), classes; 255 is left out.

    Returns:
        0..1, or None where the mask has too few such edges to tell.
    """
    at_edge = np.zeros(mask.shape, bool)
    pairs, between = [], []
    for rows, marked in ((mask, at_edge), (mask.T, at_edge.T)):
        before, here, after = rows[:, :-2], rows[:, 1:-1], rows[:, 2:]
        low, high = np.minimum(before, after), np.maximum(before, after)
        edge = (high - low >= 2) & (high < 255) & (here < 255)
        inside = edge & (low < here) & (here < high)
        marked[:, 1:-1] |= inside
        pairs.append(int(edge.sum()))
        between.append(np.stack([low[inside], high[inside], here[inside]]))
    edges, found = sum(pairs), np.concatenate(between, axis=1).astype(np.int64)
    if edges < LEAST_EDGES:
        return None
    thin = np.bincount(mask[at_edge], minlength=256) >= THIN * np.bincount(mask.ravel(), minlength=256)
    sides = found[0] * 256 + found[1]
    triples, place, counts = np.unique(sides * 256 + found[2], return_inverse=True, return_counts=True)
    alone = counts >= ALONE * np.bincount(sides, minlength=1 << 16)[triples >> 8]
    explained = int((alone[place] & thin[found[2]]).sum())
    share: float = (found.shape[1] - explained) / max(edges - explained, 1)
    return share
