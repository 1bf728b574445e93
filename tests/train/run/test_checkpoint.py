"""Two generations of a training's state: whole or absent, and the newest whole one is used."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from narrow_models import NARROW
from small_training import PARAMS

from roadseg.train.params import StepRecipe
from roadseg.train.run.checkpoint import NAMES, Checkpoints, Progress
from roadseg.train.step.compiled import compiled

DONE = Progress(2, 3, [0.5, 0.25, 0.125], [{"epoch": 1, "loss": 0.75}])


@pytest.fixture
def build() -> Callable[..., keras.Model]:
    def built(width: int = 4) -> keras.Model:
        keras.utils.clear_session()  # equal names in every process
        keras.utils.set_random_seed(1)
        layers = [keras.layers.Input((8,)), keras.layers.Dense(width), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
        model = keras.Sequential(layers)
        optimizer = keras.optimizers.AdamW(0.01, use_ema=True)
        model.compile(optimizer, "mse")
        optimizer.build(model.trainable_variables)
        return model

    return built


def work(model: keras.Model, steps: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        model.train_on_batch(rng.normal(size=(16, 8)), rng.normal(size=(16, 1)))


def state(model: keras.Model) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(each) for each in (*model.variables, *model.optimizer.variables)]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_restored_training_goes_on_as_if_never_stopped(tmp_path: Path, build: Callable[..., keras.Model]) -> None:
    model = build()
    work(model, 3, seed=1)
    Checkpoints(tmp_path).save(model, DONE)
    work(model, 3, seed=2)
    other = build()
    assert Checkpoints(tmp_path).restore(other) == DONE
    assert not same(state(model), state(other))
    work(other, 3, seed=2)
    assert same(state(model), state(other))  # weights, moments, averages, and what dropout draws next


def test_a_fine_tuning_goes_on_to_the_bit(tmp_path: Path) -> None:
    """Its encoder rests in two of five steps, and moves at a share of the rate then."""
    recipe = StepRecipe.model_validate({key: PARAMS[key] for key in StepRecipe.model_fields})
    recipe = recipe.model_copy(update={"encoder_rate": 0.3, "encoder_frozen": 0.4, "warmup": 0.0})
    rng = np.random.default_rng(0)
    pixels, masks = rng.integers(0, 256, (4, 32, 64, 3), np.uint8), rng.integers(0, 7, (4, 16, 32), np.uint8)

    def made() -> keras.Model:
        keras.utils.clear_session()
        keras.utils.set_random_seed(1)
        return compiled(NARROW["lite0"], np.ones(7), 5, recipe)

    model = made()
    before = np.array(model.get_layer("stem_conv").kernel)
    model.train_on_batch(pixels, masks)
    assert np.array_equal(before, np.array(model.get_layer("stem_conv").kernel))
    Checkpoints(tmp_path).save(model, DONE)
    for _ in range(3):
        model.train_on_batch(pixels, masks)
    assert not np.array_equal(before, np.array(model.get_layer("stem_conv").kernel))
    other = made()
    assert Checkpoints(tmp_path).restore(other) == DONE
    for _ in range(3):
        other.train_on_batch(pixels, masks)
    assert same(state(model), state(other))


def test_without_a_checkpoint_nothing_changes(tmp_path: Path, build: Callable[..., keras.Model]) -> None:
    model = build()
    before = state(model)
    assert Checkpoints(tmp_path).restore(model) == Progress()
    assert same(before, state(model))


@pytest.fixture
def generations(tmp_path: Path, build: Callable[..., keras.Model]) -> dict[int, list[np.ndarray]]:
    """The state at each of three saves, of which the last two are on disk."""
    model, kept, states = build(), Checkpoints(tmp_path), {}
    for number in (1, 2, 3):
        work(model, 1, seed=number)
        kept.save(model, Progress(number))
        states[number] = state(model)
    return states


def damaged(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "cut":
        content = content[: len(content) * 2 // 3]
    elif how == "flipped":
        content[len(content) // 2] ^= 0xFF
    elif how == "empty":
        content = bytearray()
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["cut", "flipped", "empty"])
def test_a_damaged_generation_falls_back_to_the_other(
    tmp_path: Path,
    build: Callable[..., keras.Model],
    generations: dict[int, list[np.ndarray]],
    capsys: pytest.CaptureFixture[str],
    how: str,
) -> None:
    newest = tmp_path / NAMES[3 % 2]
    damaged(newest, how)
    model = build()
    assert Checkpoints(tmp_path).restore(model) == Progress(2)
    assert same(state(model), generations[2])
    assert str(newest) in capsys.readouterr().out


@pytest.mark.parametrize("how", ["cut", "flipped", "empty"])
def test_where_both_are_damaged_training_starts_over_and_says_so(
    tmp_path: Path,
    build: Callable[..., keras.Model],
    generations: dict[int, list[np.ndarray]],
    capsys: pytest.CaptureFixture[str],
    how: str,
) -> None:
    assert generations
    for name in NAMES:
        damaged(tmp_path / name, how)
    model = build()
    before = state(model)
    assert Checkpoints(tmp_path).restore(model) == Progress()
    assert same(before, state(model))
    assert "training starts over" in capsys.readouterr().out


def test_after_a_fallback_the_damaged_generation_is_the_one_that_is_replaced(
    tmp_path: Path, build: Callable[..., keras.Model], generations: dict[int, list[np.ndarray]]
) -> None:
    assert generations
    damaged(tmp_path / NAMES[1], "cut")
    model, kept = build(), Checkpoints(tmp_path)
    kept.restore(model)
    kept.save(model, Progress(9))
    assert Checkpoints(tmp_path).restore(build()) == Progress(9)
    damaged(tmp_path / NAMES[1], "cut")
    assert Checkpoints(tmp_path).restore(build()) == Progress(2)


def test_the_state_of_another_model_is_not_used(
    tmp_path: Path,
    build: Callable[..., keras.Model],
    generations: dict[int, list[np.ndarray]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert generations
    assert Checkpoints(tmp_path).restore(build(width=5)) == Progress()
    assert "it is of another model" in capsys.readouterr().out
