"""Hard-pixel mining: which pixels of a batch are the hardest."""

import keras
from keras import ops

MIN_PIXELS = 1024  # fewer say too little for a step
HALVINGS = 24  # of the interval in which the threshold lies: what a float32 tells apart


def hardest(entropy: keras.KerasTensor, known: keras.KerasTensor, share: float) -> keras.KerasTensor:
    """Pick the pixels of highest cross-entropy.

    The threshold is found by halving an interval: neither a sort nor a top-k of all pixels, which cost 4 to 70 times
    as much.

    Args:
        entropy: float (...), cross-entropy of each pixel; 0 where void.
        known: scalar, number of pixels that are not void.
        share: of the known pixels, 0..1; at least `MIN_PIXELS` of them are kept, or all where there are fewer.

    Returns:
        bool (...); some more than the share where pixels are as hard as the last one kept. No gradient passes.

    Source: online hard example mining, Shrivastava et al., CVPR 2016, for pixels.
    """
    entropy = ops.stop_gradient(entropy)
    wanted = ops.minimum(ops.maximum(share * known, MIN_PIXELS), known)
    low, high = ops.zeros(()), ops.max(entropy)
    for _ in range(HALVINGS):  # at least as many as wanted are never below `low`
        middle = (low + high) / 2
        enough = ops.sum(ops.cast(entropy >= middle, "float32")) >= wanted
        low, high = ops.where(enough, middle, low), ops.where(enough, high, middle)
    return entropy >= low
