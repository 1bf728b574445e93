"""Which pair comes when in an epoch, and which of them show a class that it is the turn of."""

from typing import NamedTuple

import numpy as np


class SampledPair(NamedTuple):
    """One place of an epoch.

    Attributes:
        pair: number of the pair that comes there.
        shown: class in whose pixel the crop has its middle; None for a crop anywhere.
        pixel: which of the mask's pixels of that class, in reading order, 0..1.
    """

    pair: int
    shown: int | None = None
    pixel: float = 0.0


def class_uniform_sampling(
    order: np.ndarray, pixels: np.ndarray, share: float, rng: np.random.Generator
) -> list[SampledPair]:
    """Give a share of an epoch's places to the classes in turn, each with any pair that shows it.

    Args:
        order: integer (n,), numbers of the pairs as they would come.
        pixels: integer (pairs, K), pixels of each class in each pair.
        share: of the places, 0..1; the others keep their pair. 0 draws nothing from `rng`.
        rng: the only source of chance.

    Returns:
        n places; among the given ones each class that occurs comes equally often, to within one.

    Source: class uniform sampling, Zhu et al., "Improving Semantic Segmentation via Video Propagation and Label
    Relaxation", CVPR 2019; there around the middle of an area, here around any pixel of the class.
    """
    sampled = [SampledPair(int(pair)) for pair in order]
    given = round(share * len(sampled))
    if given == 0:
        return sampled
    turns = np.resize(rng.permutation(np.flatnonzero(pixels.any(0))), given)
    for place, shown in zip(rng.permutation(len(sampled))[:given], turns, strict=True):
        pair = rng.choice(np.flatnonzero(pixels[:, shown]))
        sampled[place] = SampledPair(int(pair), int(shown), rng.random())
    return sampled
