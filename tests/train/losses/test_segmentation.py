import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from roadseg.train.losses import hard
from roadseg.train.losses.lovasz import lovasz_softmax
from roadseg.train.losses.segmentation import SegmentationLoss, class_weights

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


def scored(logits: np.ndarray, from_logits: bool) -> tuple[np.ndarray, NDArray[np.float64]]:
    """What a model puts out, and the probabilities that the loss makes of it, never 0."""
    chances = softmax(logits)
    return (logits, chances) if from_logits else (chances.astype(np.float32), chances + 1e-7)


def reference(
    truth: np.ndarray, chances: NDArray[np.float64], weights: np.ndarray, dice: float, hardest: int = 10**9
) -> float:
    """The loss pixel by pixel: cross-entropy of so many pixels over their weights' sum, Dice of the classes present."""
    known = [pixel for pixel in np.ndindex(truth.shape) if truth[pixel] < CLASSES]
    known.sort(key=lambda pixel: chances[pixel][truth[pixel]])
    entropy = total = 0.0
    overlap, guessed, there = np.zeros(CLASSES), np.zeros(CLASSES), np.zeros(CLASSES)
    for place, pixel in enumerate(known):
        if place < hardest:
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
    scores, chances = scored(logits, from_logits)
    value = float(SegmentationLoss(weights, dice, from_logits)(truth, scores))
    assert value == pytest.approx(reference(truth, chances, weights, dice), rel=1e-4, abs=1e-4)


@settings(deadline=None, max_examples=40)
@given(seeds, st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), st.booleans())
def test_cross_entropy_of_the_hardest_is_that_of_the_slow_reference(seed: int, share: float, from_logits: bool) -> None:
    truth, logits = case(seed)
    weights = np.random.default_rng(seed).uniform(0.1, 3, CLASSES)
    scores, chances = scored(logits, from_logits)
    kept = int(np.ceil(np.float32(share or 1) * np.float32((truth < CLASSES).sum())))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hard, "MIN_PIXELS", 1)  # so few pixels would all be kept
        value = float(SegmentationLoss(weights, 0.7, from_logits, hard=share)(truth, scores))
    assert value == pytest.approx(reference(truth, chances, weights, 0.7, kept), rel=1e-4, abs=1e-4)


@settings(deadline=None, max_examples=20)
@given(seeds, st.floats(0.1, 2), st.booleans())
def test_lovasz_is_added_with_its_weight(seed: int, lovasz: float, from_logits: bool) -> None:
    truth, logits = case(seed)
    scores, _ = scored(logits, from_logits)
    plain, with_lovasz = (
        float(SegmentationLoss(np.ones(CLASSES), 1.0, from_logits, lovasz=weight)(truth, scores))
        for weight in (0, lovasz)
    )
    known = truth < CLASSES
    term = lovasz_softmax(np.eye(CLASSES, dtype=np.float32)[truth[known]], softmax(logits[known]).astype(np.float32))
    assert with_lovasz - plain == pytest.approx(lovasz * float(term), rel=1e-4, abs=1e-5)


@settings(deadline=None, max_examples=40)
@given(seeds, st.booleans(), st.sampled_from([0.0, 0.5]))
def test_void_pixels_change_nothing(seed: int, from_logits: bool, more: float) -> None:
    truth, logits = case(seed)
    other = np.where((truth < CLASSES)[..., None], logits, case(seed + 1)[1])
    loss = SegmentationLoss(np.ones(CLASSES), 1.0, from_logits, lovasz=more, hard=more)
    one, two = (scored(each, from_logits)[0] for each in (logits, other))
    value, gradient = loss_and_gradient(loss, truth, one)
    other_value, other_gradient = loss_and_gradient(loss, truth, two)
    assert value == other_value
    assert not gradient[truth >= CLASSES].any()
    np.testing.assert_array_equal(gradient, other_gradient)
    assert gradient[truth < CLASSES].any()


def test_a_batch_of_void_pulls_nowhere() -> None:
    truth, logits = case(0)
    value, gradient = loss_and_gradient(
        SegmentationLoss(np.ones(CLASSES), 1.0, True, lovasz=1.0, hard=0.5), np.full_like(truth, VOID), logits
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
