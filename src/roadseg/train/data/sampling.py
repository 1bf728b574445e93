"""Which pair comes when in an epoch, and which of them show a class that it is the turn of."""

from typing import NamedTuple

import numpy as np


class Draw(NamedTuple):
    """One pair of an epoch.

    Attributes:
        pair: its number.
        target: class in whose pixel the crop has its middle; None for a crop anywhere.
        which: that pixel among those of the class in the mask, 0..1.
    """

    pair: int
    target: int | None = None
    which: float = 0.0


def class_uniform(order: np.ndarray, pixels: np.ndarray, share: float, rng: np.random.Generator) -> list[Draw]:
    """Give a share of an epoch's places to the classes in turn, each with any pair that shows it.

    Args:
        order: integer (n,), numbers of the pairs as they would come.
        pixels: integer (pairs, K), pixels of each class in each pair.
        share: of the places, 0..1; the others keep their pair. 0 draws nothing from `rng`.
        rng: the only source of chance.

    Returns:
        n draws; among the given places each class that occurs comes equally often, to within one.

    Source: class uniform sampling, Zhu et al., "Improving Semantic Segmentation via Video Propagation and Label
    Relaxation", CVPR 2019; there around the middle of an area, here around any pixel of the class.
    """
    draws = [Draw(int(pair)) for pair in order]
    given = round(share * len(draws))
    if given == 0:
        return draws
    turns = np.resize(rng.permutation(np.flatnonzero(pixels.any(0))), given)
    for place, target in zip(rng.permutation(len(draws))[:given], turns, strict=True):
        draws[place] = Draw(int(rng.choice(np.flatnonzero(pixels[:, target]))), int(target), rng.random())
    return draws
