import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.train.losses import hard
from roadseg.train.losses.hard import hardest

PIXELS = 5000
seeds = st.integers(0, 2**32 - 1)
shares = st.floats(0.01, 0.99)
quick = settings(deadline=None, max_examples=40)


def case(seed: int) -> tuple[np.ndarray, int]:
    """Cross-entropies of a network half trained, zero where void, and the number of pixels that are not."""
    rng = np.random.default_rng(seed)
    void = rng.random(PIXELS) < rng.random()
    entropy = np.where(void, 0, rng.lognormal(-2, 1.5, PIXELS)).astype(np.float32)
    return entropy, int((~void).sum())


@quick
@given(seeds, shares)
def test_the_hardest_share_is_kept_or_a_least_number(seed: int, share: float) -> None:
    entropy, known = case(seed)
    kept = np.asarray(hardest(entropy, float(known), share))
    wanted = min(max(int(np.ceil(np.float32(share) * np.float32(known))), hard.MIN_PIXELS), known)
    assert wanted <= kept.sum() <= wanted + 3  # which differ from the last in the last bits
    if not kept.all():
        assert entropy[kept].min() >= entropy[~kept].max()


@quick
@given(seeds, shares)
def test_void_is_never_among_them(seed: int, share: float) -> None:
    entropy, known = case(seed)
    kept = np.asarray(hardest(entropy, float(known), share))
    assert not kept[entropy == 0].any()


def test_pixels_as_hard_as_the_last_are_kept_too() -> None:
    entropy = np.repeat(np.float32([3, 2, 1]), 2000)
    assert np.asarray(hardest(entropy, 6000.0, 0.5)).sum() == 4000


@pytest.mark.parametrize("entropy", [0.0, 0.7])
def test_where_all_are_alike_all_are_kept(entropy: float) -> None:
    assert np.asarray(hardest(np.full(3000, entropy, np.float32), 3000.0, 0.5)).all()


def test_no_gradient_passes() -> None:
    with tf.GradientTape() as tape:
        watched = tf.constant(case(0)[0])
        tape.watch(watched)
        kept = tf.cast(hardest(watched, 3000.0, 0.5), "float32")
    assert tape.gradient(kept, watched) is None
