"""A training may start from another's weights: equal at step 0, classes by name, and no other architecture."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from narrow_models import narrow_encoder
from small_training import PARAMS, SHORT

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import UsageError
from roadseg.contracts.shards import Shards
from roadseg.contracts.weights import NAME, Weights, keep_weights, write_weights
from roadseg.train import stage
from roadseg.train.models import tutorial
from roadseg.train.models.known import MODELS, residual_unet
from roadseg.train.models.pretrained_unet import encoder_paths
from roadseg.train.models.unet import SIZES
from roadseg.train.models.warm_start import start_from, weights_of
from roadseg.train.params import TrainParams
from roadseg.train.run import loop

CLASSES = ["road", "sky", "car"]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "small", SHORT)


@pytest.fixture(params=["small", "tutorial"])
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    narrow = replace(MODELS["tutorial"], build=lambda classes: tutorial.build(classes, filters=2))
    monkeypatch.setitem(MODELS, "tutorial", narrow)
    return str(request.param)


def model_of(name: str, classes: int, seed: int) -> keras.Model:
    """With every weight at random, also those that a fresh model has at 0 or 1."""
    model, rng = MODELS[name].build(classes), np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape).astype(np.float32))
    return model


def parent_of(model: keras.Model, name: str, folder: Path, classes: list[str] = CLASSES) -> Weights:
    path = folder / "weights.npz"
    write_weights(path, weights_of(model), fingerprint="f" * 64, model=name, classes=classes)
    return Weights.open(path)


def test_all_weights_are_the_parent_s(name: str, tmp_path: Path) -> None:
    parent, child = model_of(name, 3, 1), model_of(name, 3, 2)
    start_from(parent_of(parent, name, tmp_path), child, name, CLASSES)
    for one, other in zip(parent.weights, child.weights, strict=True):
        np.testing.assert_array_equal(np.array(one), np.array(other))


def test_a_class_keeps_what_it_knows_by_its_name(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parent, child = model_of(name, 3, 1), model_of(name, 4, 2)
    fresh = [np.array(weight) for weight in child.layers[-1].weights]
    start_from(parent_of(parent, name, tmp_path), child, name, ["car", "bus", "road", "lorry"])
    for old, before, now in zip(parent.layers[-1].weights, fresh, child.layers[-1].weights, strict=True):
        old, now = np.array(old), np.array(now)
        np.testing.assert_array_equal(now[..., 0], old[..., 2])
        np.testing.assert_array_equal(now[..., 2], old[..., 0])
        np.testing.assert_array_equal(now[..., [1, 3]], before[..., [1, 3]])
    inner = zip(parent.layers[:-1], child.layers[:-1], strict=True)
    for one, other in ((a, b) for old, new in inner for a, b in zip(old.weights, new.weights, strict=True)):
        np.testing.assert_array_equal(np.array(one), np.array(other))
    printed = capsys.readouterr().out
    assert "classes that are new, learnt from nothing: bus, lorry" in printed
    assert "classes that are gone: sky" in printed


def test_equal_tables_in_another_order_are_put_in_order(tmp_path: Path) -> None:
    parent, child = model_of("small", 3, 1), model_of("small", 3, 2)
    start_from(parent_of(parent, "small", tmp_path), child, "small", CLASSES[::-1])
    for old, now in zip(parent.layers[-1].weights, child.layers[-1].weights, strict=True):
        np.testing.assert_array_equal(np.array(now), np.array(old)[..., ::-1])


def test_another_architecture_is_refused_and_both_are_named(tmp_path: Path) -> None:
    child = model_of("small", 3, 2)
    with pytest.raises(UsageError, match=r"are of model tutorial and train\.model is small: set train.model"):
        start_from(parent_of(child, "tutorial", tmp_path), child, "small", CLASSES)


def test_another_shape_under_the_same_name_is_refused_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = parent_of(model_of("small", 3, 1), "small", tmp_path)
    for stages, said in (
        (((24, 1),), r"\(1, 1, 16, 48\) there and \(1, 1, 24, 48\) here"),
        (((16, 2),), "absent there and .* here"),
    ):
        monkeypatch.setitem(
            MODELS, "small", residual_unet("small", replace(SIZES["small"], stages=stages, decoder=(48,)))
        )
        child = model_of("small", 3, 2)
        before = [np.array(weight) for weight in child.weights]
        with pytest.raises(UsageError, match=f"are of another small: .* is {said}"):
            start_from(parent, child, "small", CLASSES)
        for one, other in zip(before, child.weights, strict=True):
            np.testing.assert_array_equal(one, np.array(other))


@pytest.fixture
def lite(monkeypatch: pytest.MonkeyPatch) -> keras.Model:
    """A narrow model with an encoder, every weight at random."""
    monkeypatch.setitem(MODELS, "lite0", narrow_encoder("lite0"))
    return model_of("lite0", 3, 1)


def encoder_of(model: keras.Model, folder: Path, left_out: str = "") -> Weights:
    """Weights of its encoder, all a half."""
    values = weights_of(model)
    names = [path for path in encoder_paths(model, MODELS["lite0"].encoder) if path != left_out]
    arrays = {name: np.full_like(values[name], 0.5) for name in names}
    write_weights(folder / "e.npz", arrays, fingerprint="pretrained/lite0", model="lite0", classes=[])
    return Weights.open(folder / "e.npz")


def test_a_pretrained_encoder_is_filled_and_the_rest_stays_as_it_was_made(lite: keras.Model, tmp_path: Path) -> None:
    before, parent = weights_of(lite), encoder_of(lite, tmp_path)
    start_from(parent, lite, "lite0", CLASSES)
    assert {"stem_conv/kernel", "block5_project_bn/moving_variance"} <= parent.arrays.keys()
    assert {"neck/kernel", "up0_lateral/kernel", "logits/bias"} <= before.keys() - parent.arrays.keys()
    for path, value in weights_of(lite).items():
        np.testing.assert_array_equal(value, parent.arrays.get(path, before[path]))


def test_an_encoder_that_lacks_a_weight_is_refused_and_changes_nothing(lite: keras.Model, tmp_path: Path) -> None:
    before = weights_of(lite)
    with pytest.raises(UsageError, match="stem_bn/gamma is absent there and"):
        start_from(encoder_of(lite, tmp_path, left_out="stem_bn/gamma"), lite, "lite0", CLASSES)
    for path, value in weights_of(lite).items():
        np.testing.assert_array_equal(value, before[path])


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shards: Shards, precision: None) -> Callable[..., Bundle]:
    """Run the stage in a tree of this test's own."""
    for variable in ("TF_DETERMINISTIC_OPS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.setenv(variable, "1")  # the stage sets them, so the patch must know what to bring back
    monkeypatch.chdir(tmp_path)

    def run(**changes: Any) -> Bundle:
        stage.run(train=TrainParams(**PARAMS | changes))
        return Bundle.open(Path("models/bundle"))

    return run


def test_the_stage_starts_from_the_weights_that_another_run_of_it_left(
    train: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train()
    assert first.card["parent"] is None
    digest = keep_weights(first.folder / NAME)
    assert first.card["training_weights"] == digest
    left = Weights.open(first.folder / NAME)
    assert (left.fingerprint, left.model, left.classes) == (first.card["fingerprint"], "small", first.classes.names)

    fit = loop.fit

    def look(model: keras.Model, *arguments: Any, **settings: Any) -> Any:
        for path, value in weights_of(model).items():
            np.testing.assert_array_equal(value, left.arrays[path])
        return fit(model, *arguments, **settings)

    monkeypatch.setattr(loop, "fit", look)
    second = train(init=digest, seed=1)
    assert second.card["parent"] == first.card["fingerprint"]
    assert second.card["params"]["init"] == digest
    assert second.card["weights"] != first.card["weights"]


def test_missing_weights_stop_the_stage_before_any_work(train: Callable[..., Bundle]) -> None:
    with pytest.raises(UsageError, match="run `roadseg models init champion`"):
        train(init="0" * 64)
    assert not Path("models").exists()


def test_a_fine_tuning_says_what_its_encoder_is(
    lite: keras.Model, train: Callable[..., Bundle], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder_of(lite, tmp_path)
    digest = keep_weights(tmp_path / "e.npz")
    card = train(model="lite0", init=digest, encoder_rate=0.0, average=0.0).card
    assert "the encoder starts from the pretrained weights" in capsys.readouterr().out
    assert card["parent"] == "pretrained/lite0"
    encoder = {"title": "EfficientNet-Lite0", "trained_on": "ImageNet-1k"}
    assert encoder.items() <= card["encoder"].items()
    assert card["encoder"]["licence"].startswith("Apache-2.0 (")
    left = Weights.open(Path("models/bundle") / NAME)
    np.testing.assert_array_equal(left.arrays["stem_conv/kernel"], np.full((3, 3, 3, 8), 0.5, np.float32))
    assert not left.pretrained


def test_weights_of_an_encoder_that_are_not_here_are_named_with_the_verb(train: Callable[..., Bundle]) -> None:
    with pytest.raises(UsageError, match=r"not in .*: run `roadseg models pretrained lite0`"):
        train(model="lite0", init="0" * 64)
