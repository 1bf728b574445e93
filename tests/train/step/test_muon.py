"""Muon moves large kernels as its authors' formula says, and only in the steps that are its own."""

import keras
import numpy as np
import pytest

from roadseg.train.step import muon
from roadseg.train.step.flat_optimizer import FlatOptimizer, Slower
from roadseg.train.step.guard import GuardedModel
from roadseg.train.step.muon import is_matrix, orthogonalised

RATE, DECAY = 0.01, 0.1
IMAGES = np.random.default_rng(1).normal(size=(4, 6, 6, 8)).astype(np.float32)
BAD = np.full_like(IMAGES, np.nan)


def newton_schulz(matrix: np.ndarray) -> np.ndarray:
    """The iteration as it is published, in float64."""
    x = matrix.astype(np.float64) / np.linalg.norm(matrix)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("condition", [1.0, 1e3])
@pytest.mark.parametrize("shape", [(72, 8), (36, 64), (48, 48)])
def test_both_ways_lead_where_the_published_one_does(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], condition: float, gpu: bool
) -> None:
    monkeypatch.setattr(muon, "has_gpu", lambda: gpu)
    rng, rank = np.random.default_rng(3), min(shape)
    left, right = (np.linalg.qr(rng.normal(size=(side, rank)))[0] for side in shape)
    matrices = np.stack([7.0 * (left * np.geomspace(1, 1 / condition, rank)) @ right.T, np.zeros(shape)])
    found = keras.ops.convert_to_numpy(orthogonalised(keras.ops.convert_to_tensor(matrices.astype(np.float32))))
    np.testing.assert_allclose(found[0], newton_schulz(matrices[0]), atol=2e-4)
    assert not found[1].any()


def test_only_dense_kernels_larger_than_1x1_are_moved_so() -> None:
    assert [is_matrix(shape) for shape in ((3, 3, 48, 96), (2, 2, 16, 8), (7, 7, 8, 64))] == [True] * 3
    others = ((3, 3, 3, 32), (3, 3, 96, 1), (1, 1, 96, 48), (96, 48), (48,))
    assert not any(is_matrix(shape) for shape in others)


def plain() -> keras.Model:
    """Two kernels that Muon moves, of one shape, and a bias and a head that it does not."""
    keras.utils.set_random_seed(2)
    conv = keras.layers.Conv2D
    return keras.Sequential(
        [keras.layers.Input((6, 6, 8)), conv(8, 3, use_bias=False), conv(8, 3, use_bias=False), conv(2, 1)]
    )


def made(every: int, accumulate: int = 1, first: tuple[float, int] | None = None) -> keras.Model:
    layers = plain()
    model = GuardedModel(layers.inputs, layers.outputs[0])
    rates = {"weight_decay": DECAY, "beta_2": 0.99, "clip": 1e9, "average": 0.9}
    slower = Slower(frozenset([model.trainable_variables[0].path]), *first) if first else None
    optimizer = FlatOptimizer(lambda step: RATE, accumulate=accumulate, muon=every, slower=slower, **rates)
    model.compile(optimizer, "mse", jit_compile=keras.backend.backend() == "jax")
    optimizer.build(model.trainable_variables)
    return model


def step(model: keras.Model, images: np.ndarray) -> list[np.ndarray]:
    """The weights after a batch: two kernels, the head, its bias."""
    model.train_on_batch(images, np.ones((len(images), 2, 2, 2), np.float32))
    return [np.array(each) for each in model.get_weights()]


def gradients(weights: list[np.ndarray], images: np.ndarray) -> list[np.ndarray]:
    """What plain descent at a rate of 1 takes from the weights."""
    model = plain()
    model.set_weights(weights)
    model.compile(keras.optimizers.SGD(1.0), "mse")
    return [old - new for old, new in zip(weights, step(model, images), strict=True)]


@pytest.mark.parametrize("every", [1, 2])
def test_each_step_is_that_of_the_papers(every: int) -> None:
    model, momenta = made(every), [np.zeros((3, 3, 8, 8))] * 2
    after = [np.array(each) for each in model.get_weights()]
    for number in range(1, 5):
        images, before = IMAGES * number, after
        slopes, after = gradients(before, images), step(model, images)
        momenta = [0.95 * old + 0.05 * new for old, new in zip(momenta, slopes, strict=False)]
        for old, slope, momentum, new in zip(before, slopes, momenta, after, strict=False):
            ahead = newton_schulz((0.95 * momentum + 0.05 * slope).reshape(72, 8)).reshape(old.shape)
            far = every * RATE * 0.2 * np.sqrt(72) if number % every == 0 else 0.0
            np.testing.assert_allclose(new, old * (1 - RATE * DECAY) - far * ahead, atol=1e-4)
        assert min(np.abs(new - old).max() for new, old in zip(after[2:], before[2:], strict=True)) > 1e-3


@pytest.mark.parametrize("every", [1, 2])
def test_a_batch_that_is_not_finite_moves_nothing_and_counts_as_no_step(every: int) -> None:
    disturbed, undisturbed = made(every), made(every)
    for images in (IMAGES, BAD, IMAGES, BAD, BAD, IMAGES):
        step(disturbed, images)
    for _ in range(3):
        step(undisturbed, IMAGES)
    assert int(disturbed.optimizer.skipped) == 3
    for one, other in zip(disturbed.optimizer.variables, undisturbed.optimizer.variables, strict=True):
        if one is not disturbed.optimizer.skipped:
            np.testing.assert_array_equal(np.array(one), np.array(other))
    for one, other in zip(disturbed.get_weights(), undisturbed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("every", [1, 2])
def test_accumulated_batches_move_kernels_as_one_large_batch(every: int) -> None:
    whole, parts = made(every), made(every, accumulate=2)
    for number in range(1, 3):
        step(whole, number * IMAGES)
        for half in (IMAGES[:2], IMAGES[2:]):
            step(parts, number * half)
    for one, other in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)


def test_a_kernel_of_an_encoder_moves_at_its_share_of_the_rate_and_rests_while_it_is_frozen() -> None:
    before, whole = made(1).get_weights(), step(made(1), IMAGES)
    for share, frozen, expected in ((0.25, 0, 0.25), (1.0, 1, 0.0)):
        moved = step(made(1, first=(share, frozen)), IMAGES)
        np.testing.assert_allclose(moved[0] - before[0], expected * (whole[0] - before[0]), atol=1e-6)
        np.testing.assert_allclose(moved[1], whole[1], atol=1e-6)
    rested = made(1, first=(1.0, 1))
    step(rested, IMAGES)
    assert np.abs(step(rested, IMAGES)[0] - before[0]).max() > 1e-3
