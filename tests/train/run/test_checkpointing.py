"""Told to stop, a training ends where its state is whole, or at once where that is on disk."""

import signal
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from roadseg.contracts.errors import Interrupted
from roadseg.machine.signals import Stop, stopping
from roadseg.train.run.checkpoint import NAMES, Checkpoints, Progress
from roadseg.train.run.checkpointing import Checkpointer
from roadseg.train.run.loop import score_monitored

AT = Progress(2, 3, [0.5] * 3, [{"epoch": 1, "loss": 0.75}])


@pytest.fixture
def model() -> keras.Model:
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    optimizer = keras.optimizers.AdamW(0.01, use_ema=True)
    model.compile(optimizer, "mse")
    optimizer.build(model.trainable_variables)
    return model


@pytest.fixture
def stop() -> Iterator[Stop]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    stop = Stop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROADSEG_CHECKPOINT_SECONDS", "3600")
        for number in before:
            signal.signal(number, stop.note)
        yield stop
    for number, handler in before.items():
        signal.signal(number, handler)


def saved(folder: Path) -> int:
    return sum((folder / name).exists() for name in NAMES)


def test_a_step_ends_before_the_training_stops(tmp_path: Path, model: keras.Model, stop: Stop) -> None:
    checkpointer = Checkpointer(tmp_path, stop)
    checkpointer.after_step(model, AT)
    assert saved(tmp_path) == 0
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="stopped by SIGTERM in epoch 2 after step 3, the state is saved"):
        checkpointer.after_step(model, AT)
    assert Checkpoints(tmp_path).restore(model) == AT


def test_while_a_graph_is_built_it_stops_at_once_and_the_state_from_before_is_saved(
    tmp_path: Path, model: keras.Model, stop: Stop
) -> None:
    def build() -> None:
        with Checkpointer(tmp_path, stop).building(model, AT):
            assert saved(tmp_path) == 1
            try:
                signal.raise_signal(signal.SIGINT)
            except Interrupted as error:  # as TensorFlow's tracing does
                raise ValueError(f"in user code:\n{error}") from None
            raise AssertionError("it went on")

    with pytest.raises(Interrupted, match=r"^stopped by SIGINT in epoch 2 after step 3, the state is saved"):
        build()
    assert Checkpoints(tmp_path).restore(model) == AT


def exchanging(place: str, looked: list[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches for a look at the monitored drives, and a signal while it predicts; `looked` is told of the end."""
    yield np.ones((3, 2), np.float32), np.zeros(3, np.uint8)
    if place == "predicting":
        signal.raise_signal(signal.SIGTERM)
    looked.append(place)


@pytest.mark.parametrize("place", ["predicting", "giving the weights back"])
def test_a_look_at_the_monitored_drives_is_left_with_the_weights_it_began_with(
    tmp_path: Path, model: keras.Model, stop: Stop, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    model.train_on_batch(np.ones((3, 2)), np.ones((3, 1)))
    model.set_weights([each + 1 for each in model.get_weights()])  # far from their average
    before, checkpointer, assign = model.get_weights(), Checkpointer(tmp_path, stop), keras.Variable.assign
    looked: list[str] = []

    def signalled(variable: keras.Variable, value: object) -> object:
        if looked == ["giving the weights back"]:
            signal.raise_signal(signal.SIGTERM)
        return assign(variable, value)

    monkeypatch.setattr(keras.Variable, "assign", signalled)

    def look() -> None:
        with checkpointer.saving(model, AT):
            score_monitored(model, exchanging(place, looked), 1, checkpointer.at_once(AT))
        checkpointer.after_step(model, AT)

    with pytest.raises(Interrupted, match="stopped by SIGTERM"):
        look()
    monkeypatch.undo()
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    model.set_weights([each * 0 for each in before])
    assert Checkpoints(tmp_path).restore(model) == AT
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_error_stays_what_it_is(tmp_path: Path, model: keras.Model, stop: Stop) -> None:
    with pytest.raises(ZeroDivisionError), Checkpointer(tmp_path, stop).building(model, AT):
        raise ZeroDivisionError


def test_equal_state_is_not_saved_twice(tmp_path: Path, model: keras.Model, stop: Stop) -> None:
    checkpointer = Checkpointer(tmp_path, stop)
    with checkpointer.building(model, AT):
        pass
    checkpointer.finish(model, AT)
    assert saved(tmp_path) == 1


def test_nothing_is_saved_before_the_first_step(tmp_path: Path, model: keras.Model, stop: Stop) -> None:
    checkpointer = Checkpointer(tmp_path, stop)
    with checkpointer.building(model, checkpointer.start(model)):
        pass
    assert saved(tmp_path) == 0


def test_a_stop_that_was_asked_for_by_nobody_is_none() -> None:
    with stopping() as stop:
        assert stop.came is None
