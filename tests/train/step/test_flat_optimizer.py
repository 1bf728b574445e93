"""The flat optimiser is Keras' AdamW step by step, and accumulated batches train as one large batch does."""

from pathlib import Path

import keras
import numpy as np
import pytest

from roadseg.train.data.batches import Batch
from roadseg.train.losses.segmentation import SegmentationLoss
from roadseg.train.models.known import Architecture
from roadseg.train.params import StepRecipe
from roadseg.train.run import loop
from roadseg.train.run.checkpoint import Checkpoints, Progress
from roadseg.train.step import flat_optimizer, parts
from roadseg.train.step.compiled import compiled
from roadseg.train.step.flat_optimizer import Slower

CLASSES, STEPS, IMAGES = 3, 4, 8  # images in a step
RATES = {"learning_rate": 1e-2, "muon": 0, "weight_decay": 0.1, "warmup": 0.3, "average": 0.8}
RATES |= {"encoder_rate": 1.0, "encoder_frozen": 0.0}
LOSS = {"balance": 0.0, "dice": 0.0, "lovasz": 0.0, "hard": 1.0}  # the mean over the pixels: of parts and of the whole


def build(classes: int) -> keras.Model:
    """Each image by itself: no normalisation, whose statistics are a batch's."""
    keras.utils.clear_session()  # a checkpoint knows variables by their names, which would be numbered on
    keras.utils.set_random_seed(3)
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((4, 6, 3), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(5, 3, padding="same", activation="relu", name="one"),
            layers.Conv2D(classes, 1, name="two"),
        ]
    )


def model_of(accumulate: int, clip: float = 5.0) -> keras.Model:
    recipe = StepRecipe(accumulate=accumulate, clip=clip, **RATES, **LOSS)
    return compiled(Architecture(build, 1, 1, "logits"), np.ones(CLASSES), STEPS, recipe)


@pytest.fixture(scope="module")
def steps() -> list[Batch]:
    """No pixel is void, so that the mean of the parts is the mean of the whole."""
    rng = np.random.default_rng(5)
    return [
        (rng.integers(0, 256, (IMAGES, 4, 6, 3), np.uint8), rng.integers(0, CLASSES, (IMAGES, 4, 6), np.uint8))
        for _ in range(STEPS)
    ]


def train(model: keras.Model, steps: list[Batch], accumulate: int, start: int = 0) -> list[float]:
    """The learning rate after each batch; `start` is the first batch made."""
    share, rates = IMAGES // accumulate, []
    for number in range(start, len(steps) * accumulate):
        images, masks = steps[number // accumulate]
        part = slice(number % accumulate * share, (number % accumulate + 1) * share)
        model.train_on_batch(images[part], masks[part])
        rates.append(float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)))
    return rates


def ends(model: keras.Model) -> list[np.ndarray]:
    """The weights, then the averaged weights."""
    weights = model.get_weights()
    with loop.averaged(model):
        return [*weights, *model.get_weights()]


def of_keras(clip: float) -> keras.Model:
    """The same model with Keras' own optimiser, a set of variables for each weight."""
    model, recipe = build(CLASSES), StepRecipe(accumulate=1, clip=clip, **RATES, **LOSS)
    schedule = keras.optimizers.schedules.CosineDecay(0.0, STEPS, warmup_target=recipe.learning_rate, warmup_steps=1)
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=recipe.weight_decay,
        beta_2=0.99,
        global_clipnorm=clip,
        use_ema=True,
        ema_momentum=recipe.average,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model.compile(optimizer, SegmentationLoss(np.ones(CLASSES, np.float32), 0.0, True, lovasz=0.0, hard=1.0))
    return model


@pytest.mark.parametrize("clip", [5.0, 0.05])
def test_each_step_is_that_of_keras_adamw(steps: list[Batch], clip: float) -> None:
    ours, theirs = model_of(1, clip), of_keras(clip)
    for images, masks in steps:
        for model in (ours, theirs):
            model.train_on_batch(images, masks)
        own = ends(ours)
        for one, other in zip(own, ends(theirs), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6 * max(np.abs(each).max() for each in own), rtol=0)


def test_the_fused_kernel_and_the_sums_move_the_weights_alike(
    steps: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    fused = model_of(1)
    train(fused, steps, 1)
    monkeypatch.setattr(parts.AdamWPart, "_moved_at_once", None)
    for module in (flat_optimizer, parts):
        monkeypatch.setattr(module, "on_tensorflow", lambda: False)
    summed = model_of(1)
    train(summed, steps, 1)
    for one, other in zip(ends(fused), ends(summed), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("clip", [5.0, 0.05])
@pytest.mark.parametrize("accumulate", [2, 4])
def test_accumulated_batches_train_as_one_large_batch(steps: list[Batch], accumulate: int, clip: float) -> None:
    whole, parts = model_of(1, clip), model_of(accumulate, clip)
    train(whole, steps, 1)
    train(parts, steps, accumulate)
    for one, other in zip(ends(whole), ends(parts), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)


def test_the_average_follows_the_steps_and_is_another_than_the_weights(steps: list[Batch]) -> None:
    model = model_of(2)
    train(model, steps, 2)
    found = ends(model)
    assert max(np.abs(one - other).max() for one, other in zip(found[:4], found[4:], strict=True)) > 1e-3


def test_the_schedule_counts_steps_not_batches(steps: list[Batch]) -> None:
    whole, parts = train(model_of(1), steps, 1), train(model_of(2), steps, 2)
    assert parts[1::2] == whole
    assert parts[0] == 0.0  # half a step
    assert parts[2::2] == whole[:-1]


def test_a_training_goes_on_in_the_middle_of_a_step(tmp_path: Path, steps: list[Batch]) -> None:
    undisturbed, stopped, again = model_of(4), model_of(4), model_of(4)
    train(undisturbed, steps, 4)
    train(stopped, steps[:1], 4)
    images, masks = steps[1]
    stopped.train_on_batch(images[:2], masks[:2])
    Checkpoints(tmp_path).save(stopped, Progress(1, 5))
    assert Checkpoints(tmp_path).restore(again).step == 5
    train(again, steps, 4, start=5)
    for one, other in zip(ends(undisturbed), ends(again), strict=True):
        np.testing.assert_array_equal(one, other)


def moved(slower: Slower | None, steps: list[Batch], made: int) -> list[float]:
    """How far each variable went in the first steps, in all."""
    model = build(CLASSES)
    before = model.get_weights()
    rates = {"weight_decay": 0.0, "beta_2": 0.99, "clip": 1e9, "average": 0.0}
    optimizer = flat_optimizer.FlatOptimizer(
        lambda step: 0.01 + 0.0 * keras.ops.cast(step, "float32"), **rates, slower=slower
    )
    model.compile(optimizer, SegmentationLoss(np.ones(CLASSES, np.float32), 0.0, True))
    optimizer.build(model.trainable_variables)
    for images, masks in steps[:made]:
        model.train_on_batch(images, masks)
    return [float(np.abs(now - old).max()) for now, old in zip(model.get_weights(), before, strict=True)]


def test_an_encoder_moves_at_its_share_of_the_rate_and_rests_while_it_is_frozen(steps: list[Batch]) -> None:
    names = frozenset(weight.path for weight in build(CLASSES).weights if "one/" in weight.path)
    assert len(names) == 2
    whole = moved(None, steps, 1)
    for share, frozen, made, expected in ((0.25, 0, 1, 0.25), (1.0, 1, 1, 0.0), (0.0, 0, 2, 0.0)):
        found = moved(Slower(names, share, frozen), steps, made)
        np.testing.assert_allclose(found[:2], [expected * each for each in whole[:2]], rtol=1e-3)
        assert min(found[2:]) > 0
    assert min(moved(Slower(names, 1.0, 1), steps, 2)[:2]) > 0
