import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from roadseg.train.losses import SegmentationLoss, class_weights

CLASSES, VOID = 4, 255
seeds = st.integers(0, 2**32 - 1)


def case(seed: int, shape: tuple[int, int, int] = (2, 3, 5)) -> tuple[np.ndarray, np.ndarray]:
    """Random truth with void and with a class that may be absent, and random logits."""
    rng = np.random.default_rng(seed)
    truth = rng.choice([*range(CLASSES), CLASSES, VOID], shape, p=[0.3, 0.3, 0.1, 0.05, 0.05, 0.2]).astype(np.uint8)
    truth[0, 0, 0] = 0  # never all void
    return truth, rng.normal(0, 2, (*shape, CLASSES)).astype(np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def reference(truth: np.ndarray, chances: NDArray[np.float64], weights: np.ndarray, dice: float) -> float:
    """The loss pixel by pixel: cross-entropy over the weights' sum, Dice over the classes that occur."""
    entropy = total = 0.0
    overlap, guessed, there = np.zeros(CLASSES), np.zeros(CLASSES), np.zeros(CLASSES)
    for pixel in np.ndindex(truth.shape):
        if truth[pixel] < CLASSES:
            entropy -= weights[truth[pixel]] * np.log(chances[pixel][truth[pixel]])
            total += weights[truth[pixel]]
            overlap[truth[pixel]] += chances[pixel][truth[pixel]]
            guessed += chances[pixel]
            there[truth[pixel]] += 1
    present = [(2 * overlap[k] + 1) / (guessed[k] + there[k] + 1) for k in range(CLASSES) if there[k]]
    return float(entropy / total + dice * (1 - np.mean(present)))


def loss_and_gradient(loss: SegmentationLoss, truth: np.ndarray, scores: np.ndarray) -> tuple[float, np.ndarray]:
    with tf.GradientTape() as tape:
        watched = tf.constant(scores)
        tape.watch(watched)
        value = loss(truth, watched)
    return float(value), tape.gradient(value, watched).numpy()


@settings(deadline=None, max_examples=40)
@given(seeds, st.floats(0, 2), st.booleans())
def test_the_loss_is_that_of_the_slow_reference(seed: int, dice: float, from_logits: bool) -> None:
    truth, logits = case(seed)
    weights = np.random.default_rng(seed).uniform(0.1, 3, CLASSES)
    scores = logits if from_logits else softmax(logits).astype(np.float32)
    value = float(SegmentationLoss(weights, dice, from_logits)(truth, scores))
    assert value == pytest.approx(reference(truth, softmax(logits), weights, dice), rel=1e-4, abs=1e-4)


@settings(deadline=None, max_examples=40)
@given(seeds, st.booleans())
def test_void_pixels_change_nothing(seed: int, from_logits: bool) -> None:
    truth, logits = case(seed)
    other = np.where((truth < CLASSES)[..., None], logits, case(seed + 1)[1])
    loss = SegmentationLoss(np.ones(CLASSES), 1.0, from_logits)
    one, two = (scores if from_logits else softmax(scores).astype(np.float32) for scores in (logits, other))
    value, gradient = loss_and_gradient(loss, truth, one)
    other_value, other_gradient = loss_and_gradient(loss, truth, two)
    assert value == other_value
    assert not gradient[truth >= CLASSES].any()
    np.testing.assert_array_equal(gradient, other_gradient)
    assert gradient[truth < CLASSES].any()


def test_a_batch_of_void_pulls_nowhere() -> None:
    truth, logits = case(0)
    value, gradient = loss_and_gradient(
        SegmentationLoss(np.ones(CLASSES), 1.0, True), np.full_like(truth, VOID), logits
    )
    assert np.isfinite(value)
    np.testing.assert_array_equal(gradient, 0)


counts = st.lists(st.integers(0, 10**9), min_size=1, max_size=26).filter(any)


@given(counts, st.floats(0, 1))
def test_only_a_class_that_never_occurs_weighs_nothing(pixels: list[int], exponent: float) -> None:
    weights = class_weights(np.array(pixels), exponent)
    np.testing.assert_array_equal(weights > 0, np.array(pixels) > 0)


@given(counts)
def test_exponent_0_weighs_all_alike(pixels: list[int]) -> None:
    np.testing.assert_array_equal(class_weights(np.array(pixels), 0), np.array(pixels) > 0)


@given(counts)
def test_exponent_1_gives_every_class_the_same_say(pixels: list[int]) -> None:
    say = class_weights(np.array(pixels), 1) * pixels
    there = say[np.array(pixels) > 0]
    np.testing.assert_allclose(there, there[0])
