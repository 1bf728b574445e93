"""How well the outlines of classes lie, counted per image."""

import math

import numpy as np

TOLERANCE = 0.0075  # of the image's diagonal
WORD = 64  # classes that fit in one integer


def boundary_counts(
    truth: np.ndarray, prediction: np.ndarray, classes: int, tolerance: float = TOLERANCE
) -> np.ndarray:
    """Count the boundary pixels of each class that have a partner close by in the other mask.

    A pixel is on its class's boundary where one of its four neighbours is of another class. Void truth has no
    boundary: neither its pixels nor the steps into it count, in either mask.

    Args:
        truth: uint8 (H, W); ids from `classes` upward are void.
        prediction: uint8 (H, W), the same shape.
        classes: number of classes K.
        tolerance: how far apart two boundaries may lie, as a share of the diagonal.

    Returns:
        int64 (K, 4): pixels predicted, of these near a true one of the class, true, of these near a predicted one.

    Source: Csurka et al., "What is a good evaluation measure for semantic segmentation?", BMVC 2013, with its 0.75 % of
    the diagonal. There the F-score is taken per image and averaged; here counts are kept, so that slices add up.
    """
    radius = tolerance * math.hypot(*truth.shape)
    counted = truth < classes
    edges = {name: _edges(mask, counted) for name, mask in (("predicted", prediction), ("true", truth))}
    counts = np.zeros((classes, 4), np.int64)
    for first in range(0, classes, WORD):
        last = min(first + WORD, classes)
        masks = {"predicted": prediction, "true": truth}
        outlines = {name: _bits(masks[name], edges[name], first, last) for name in masks}
        for column, (name, other) in enumerate((("predicted", "true"), ("true", "predicted"))):
            near = outlines[name] & dilate(outlines[other], radius)
            for pixels, place in ((outlines[name], 2 * column), (near, 2 * column + 1)):
                there = pixels != 0  # a pixel is of one class, so it has one bit
                ids = masks[name][there].astype(np.int64)
                counts[:, place] += np.bincount(ids, minlength=classes)
    return counts


def dilate(bits: np.ndarray, radius: float) -> np.ndarray:
    """Give every pixel the bits of all pixels within `radius`; a distance transform would take one class at a time.

    Args:
        bits: unsigned (H, W), one bit per class.
        radius: pixels, Euclidean, between pixel centres.
    """
    height, reach = len(bits), int(radius)
    wide, grown, width = bits.copy(), np.zeros_like(bits), 0
    for down in range(reach, -1, -1):  # rows far from the centre of the disc are short
        while width < int(math.sqrt(radius**2 - down**2)):
            width += 1
            wide[:, width:] |= bits[:, :-width]
            wide[:, :-width] |= bits[:, width:]
        rest = max(0, height - down)
        grown[down:] |= wide[:rest]
        grown[:rest] |= wide[down:]
    return grown


def _edges(mask: np.ndarray, counted: np.ndarray) -> np.ndarray:
    edges = np.zeros(mask.shape, np.bool_)
    down = (mask[1:] != mask[:-1]) & counted[1:] & counted[:-1]
    across = (mask[:, 1:] != mask[:, :-1]) & counted[:, 1:] & counted[:, :-1]
    edges[1:] |= down
    edges[:-1] |= down
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    return edges


def _bits(mask: np.ndarray, edges: np.ndarray, first: int, last: int) -> np.ndarray:
    word = next(kind for kind in (np.uint8, np.uint16, np.uint32, np.uint64) if np.iinfo(kind).bits >= last - first)
    bit_of_id = np.zeros(256, word)
    bit_of_id[first:last] = np.left_shift(np.ones(last - first, word), np.arange(last - first, dtype=word))
    return np.where(edges, bit_of_id[mask], word(0))
