"""A step that is not finite changes nothing, and repeated ones stop the training with the names of the samples."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from roadseg.contracts.errors import RoadsegError
from roadseg.train.step.flat_optimizer import FlatOptimizer
from roadseg.train.step.guard import IN_A_ROW, Guard, GuardedModel

GOOD = (np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32), np.ones((8, 1), np.float32))
BAD = (np.full((8, 4), np.nan, np.float32), GOOD[1])


def make(accumulate: int = 1, loss: Any = "mse") -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization(), keras.layers.Dense(1)]
    plain = keras.Sequential(layers)
    model = GuardedModel(plain.inputs, plain.outputs[0])
    rates = {"weight_decay": 0.004, "beta_2": 0.999, "clip": 1e9, "average": 0.99}
    optimizer = FlatOptimizer(lambda step: 0.01, accumulate=accumulate, **rates)
    model.compile(optimizer, loss, jit_compile=keras.backend.backend() == "jax")
    optimizer.build(model.trainable_variables)
    return model


@pytest.fixture
def model() -> keras.Model:
    return make()


@pytest.fixture
def guard(model: keras.Model, tmp_path: Path) -> Guard:
    return Guard(model, tmp_path, lambda epoch, step: [f"train/{epoch}/{step}"])


def state(model: keras.Model) -> list[np.ndarray]:
    """All that a step may change, but for the count of what was left out."""
    optimizer = model.optimizer
    kept = [each for each in optimizer.variables if each is not optimizer.skipped]
    return [keras.ops.convert_to_numpy(each) for each in (*model.variables, *kept)]


def test_a_step_that_is_not_finite_changes_nothing_and_is_said(
    model: keras.Model, guard: Guard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guard.step(*GOOD, 1, 0) is not None
    before = state(model)
    assert guard.step(*BAD, 1, 1) is None
    for one, other in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(one, other)
    assert "epoch 1 step 1: loss nan" in capsys.readouterr().out
    assert json.loads((tmp_path / "not-finite.json").read_text())["samples"] == ["train/1/1"]


def test_a_batch_that_is_not_finite_in_the_middle_of_a_step_is_made_up_for_by_the_next(tmp_path: Path) -> None:
    other = (GOOD[0][::-1].copy(), 2 * GOOD[1])
    ends = []
    for batches in ((GOOD, other), (GOOD, BAD, other)):
        model = make(accumulate=2)
        guard = Guard(model, tmp_path, lambda epoch, step: [])
        for batch in batches:
            guard.step(*batch, 1, 0)
        ends.append(state(model))
    for one, again in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, again)


def test_a_loss_that_is_not_finite_moves_nothing_though_its_gradients_are(tmp_path: Path) -> None:
    model = make(loss=lambda truth, found: keras.ops.mean(found) + keras.ops.max(truth))
    guard, before = Guard(model, tmp_path, lambda epoch, step: []), state(model)
    assert guard.step(GOOD[0], np.full((8, 1), np.inf, np.float32), 1, 0) is None
    for one, again in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(one, again)


def test_the_training_goes_on_after_an_odd_batch(model: keras.Model, guard: Guard) -> None:
    for batch in (BAD, GOOD, BAD, GOOD):
        guard.step(*batch, 1, 0)
    loss = guard.step(*GOOD, 1, 0)
    assert loss is not None
    assert np.isfinite(loss)
    assert all(np.isfinite(each).all() for each in state(model))


def test_many_in_a_row_stop_the_training_and_the_samples_are_named(guard: Guard, tmp_path: Path) -> None:
    for step in range(IN_A_ROW - 1):
        guard.step(*BAD, 3, step)
    guard.step(*GOOD, 3, 9)
    for step in range(IN_A_ROW - 1):
        guard.step(*BAD, 4, step)
    with pytest.raises(RoadsegError, match=f"{IN_A_ROW} steps in a row were not finite .*not-finite.json"):
        guard.step(*BAD, 4, 7)
    assert json.loads((tmp_path / "not-finite.json").read_text()) == {"epoch": 4, "step": 7, "samples": ["train/4/7"]}
