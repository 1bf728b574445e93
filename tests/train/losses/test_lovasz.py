import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.train.losses.lovasz import lovasz_softmax

CLASSES = 4
seeds = st.integers(0, 2**32 - 1)
quick = settings(deadline=None, max_examples=40)


def case(seed: int, pixels: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """One-hot truth with void and with a class that may be absent, and probabilities; both zero where void."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(CLASSES + 1, pixels, p=[0.35, 0.35, 0.1, 0.05, 0.15])
    ids[0] = 0  # never all void
    truth = np.eye(CLASSES + 1, dtype=np.float32)[ids, :CLASSES]
    guess = rng.dirichlet(np.full(CLASSES, 0.5), pixels).astype(np.float32)
    return truth, guess * truth.sum(-1, keepdims=True)


def jaccard_loss(truth: np.ndarray, wrong: np.ndarray) -> float:
    """One minus the Jaccard index of a class when the prediction is right but for the pixels in `wrong`."""
    prediction = truth ^ wrong
    return 1 - float((truth & prediction).sum()) / float((truth | prediction).sum())


def reference(truth: np.ndarray, guess: np.ndarray) -> float:
    """The Lovasz extension by its level sets: the integral of the Jaccard loss of {error >= t} over t in 0..1."""
    losses = []
    known = truth.sum(-1) > 0
    for of_class, chance in zip(truth[known].T > 0, guess[known].astype(np.float64).T, strict=True):
        if of_class.any():
            errors = np.abs(of_class - chance)
            levels = np.unique([0, *errors])
            steps = zip(np.diff(levels), levels[1:], strict=True)
            losses.append(sum(height * jaccard_loss(of_class, errors >= level) for height, level in steps))
    return float(np.mean(losses))


def gradient(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    with tf.GradientTape() as tape:
        watched = tf.constant(guess)
        tape.watch(watched)
        value = lovasz_softmax(truth, watched)
    return np.asarray(tape.gradient(value, watched))


@quick
@given(seeds)
def test_it_is_the_integral_over_level_sets(seed: int) -> None:
    truth, guess = case(seed)
    assert float(lovasz_softmax(truth, guess)) == pytest.approx(reference(truth, guess), rel=1e-4, abs=1e-5)


@quick
@given(seeds)
def test_equal_errors_count_the_same_in_any_order(seed: int) -> None:
    truth, guess = case(seed)
    coarse = np.round(guess * 2) / 2
    shuffled = np.random.default_rng(seed).permutation(len(truth))
    value = float(lovasz_softmax(truth, coarse))
    assert value == pytest.approx(float(lovasz_softmax(truth[shuffled], coarse[shuffled])), rel=1e-5, abs=1e-6)
    assert value == pytest.approx(reference(truth, coarse), rel=1e-4, abs=1e-5)


@quick
@given(seeds)
def test_of_a_hard_prediction_it_is_one_minus_the_mean_iou_of_the_classes_present(seed: int) -> None:
    truth, guess = case(seed)
    hard = np.eye(CLASSES, dtype=np.float32)[guess.argmax(-1)] * truth.sum(-1, keepdims=True)
    ious = [(truth * hard).sum(0)[k] / np.maximum(truth, hard).sum(0)[k] for k in range(CLASSES) if truth[:, k].any()]
    assert float(lovasz_softmax(truth, hard)) == pytest.approx(1 - np.mean(ious), abs=1e-5)


@settings(deadline=None, max_examples=10)
@given(seeds)
def test_the_gradient_is_that_of_finite_differences(seed: int) -> None:
    truth, _ = case(seed)
    rng = np.random.default_rng(seed)
    spaced = (rng.permutation(truth.size).reshape(truth.shape) + 0.5) / truth.size  # no two errors near one another
    guess = np.where(truth > 0, 1 - spaced, spaced).astype(np.float32) * truth.sum(-1, keepdims=True)
    found, step = gradient(truth, guess), 0.2 / truth.size
    for place in np.argwhere(truth.sum(-1, keepdims=True) * np.ones_like(truth)):
        moved = np.zeros_like(guess)
        moved[tuple(place)] = step
        slope = (reference(truth, guess + moved) - reference(truth, guess - moved)) / (2 * step)
        assert found[tuple(place)] == pytest.approx(slope, rel=1e-3, abs=1e-4)


@quick
@given(seeds)
def test_a_pixel_of_void_changes_nothing(seed: int) -> None:
    truth, guess = case(seed)
    known = truth.sum(-1) > 0
    assert float(lovasz_softmax(truth, guess)) == pytest.approx(
        float(lovasz_softmax(truth[known], guess[known])), rel=1e-6
    )
    np.testing.assert_array_equal(gradient(truth, guess)[~known], 0)


def test_all_void_is_0() -> None:
    truth, guess = case(0)
    assert float(lovasz_softmax(0 * truth, 0 * guess)) == 0
