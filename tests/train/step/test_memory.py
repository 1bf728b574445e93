"""A step that does not fit is told with the batch that would, and `auto` is a batch that fits."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError
from small_training import PARAMS

from roadseg.contracts.errors import UsageError
from roadseg.train.models.known import MODELS
from roadseg.train.params import TrainParams
from roadseg.train.step.flat_optimizer import FlatOptimizer
from roadseg.train.step.guard import Guard, GuardedModel
from roadseg.train.step.memory import auto_batch, enough_memory, out_of_memory, step_bytes

ERRORS = [
    tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[16,64]"),
    MemoryError("Unable to allocate 8 TiB"),
    RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 68719476736 bytes."),
]


class Huge(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Asks for 4 PiB for each image over three; no machine gives that."""

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        over = keras.ops.maximum(keras.ops.shape(x)[0] - 3, 0)
        return x + 1e-9 * keras.ops.sum(keras.ops.tile(x[:1, :, None], [over, 1 << 24, 1 << 24]))


def guard_of(*layers: keras.layers.Layer, folder: Path) -> Guard:
    plain = keras.Sequential([keras.layers.Input((4,)), *layers, keras.layers.Dense(1)])
    model = GuardedModel(plain.inputs, plain.outputs[0])
    model.compile(FlatOptimizer(lambda step: 0.01, weight_decay=0.0, beta_2=0.999, clip=1e9, average=0.9), "mse")
    model.optimizer.build(model.trainable_variables)
    return Guard(model, folder, lambda epoch, step: [])


def test_a_batch_that_really_runs_out_of_memory_is_told_with_one_that_fits(tmp_path: Path) -> None:
    guard = guard_of(Huge(), folder=tmp_path)
    said = r"params.yaml: train.batch: a step of 12 images ran out of memory \(.*\); 3 fit: set train.batch .* to 3"
    with pytest.raises(UsageError, match=said) as caught:
        guard.step(np.ones((12, 4), np.float32), np.ones((12, 1), np.float32), 1, 0)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert guard.step(np.ones((3, 4), np.float32), np.ones((3, 1), np.float32), 1, 0) is not None


def step_that_fits(most: int, error: Exception) -> Callable[[int], None]:
    def step(images: int) -> None:
        if images > most:
            raise error

    return step


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(("batch", "most", "told"), [(16, 15, "8 fit"), (16, 4, "4 fit"), (9, 1, "1 fit")])
def test_the_batch_that_fits_is_found_by_halving(error: Exception, batch: int, most: int, told: str) -> None:
    step = step_that_fits(most, error)
    with pytest.raises(UsageError, match=told), enough_memory(batch, step):
        step(batch)


def test_the_batch_that_fits_is_one_that_the_devices_share() -> None:
    with pytest.raises(UsageError, match="6 fit"), enough_memory(24, step_that_fits(8, MemoryError()), devices=6):
        raise MemoryError


def test_several_processes_try_no_smaller_batch() -> None:
    def step(_: int) -> None:
        pytest.fail("the others would not know of it")

    with pytest.raises(UsageError, match="to a smaller one, and train"), enough_memory(8, step, single=False):
        raise MemoryError


@pytest.mark.parametrize("batch", [1, 16])
def test_where_not_one_image_fits_it_says_what_else_helps(batch: int) -> None:
    step = step_that_fits(0, MemoryError())
    with pytest.raises(UsageError, match="not even one fits: lower preproc"), enough_memory(batch, step):
        step(batch)


def test_another_error_stays_itself() -> None:
    with pytest.raises(ZeroDivisionError), enough_memory(8, lambda _: None):
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), enough_memory(8, step_that_fits(0, ZeroDivisionError())):
        raise MemoryError
    assert not out_of_memory(tf.errors.InvalidArgumentError(None, None, "shapes differ"))


def test_a_step_that_fits_tries_no_other() -> None:
    with enough_memory(8, lambda _: pytest.fail("nothing to find out")):
        pass


SIZE = (128, 256)


@pytest.mark.parametrize("fits", [1, 4, 8])
def test_auto_is_what_fits_up_to_8(pretend_device: Callable[..., None], fits: int) -> None:
    fixed, image = step_bytes(MODELS["small"], 7, SIZE, False)
    pretend_device(2 * (fixed + fits * image))
    assert auto_batch(MODELS["small"], 7, SIZE, False) == fits
    pretend_device(1 << 50)
    assert auto_batch(MODELS["small"], 7, SIZE, False) == 8


def test_a_step_is_estimated_by_the_outputs_of_its_layers() -> None:
    fixed, image = step_bytes(MODELS["small"], 7, SIZE, False)
    _, quarter = step_bytes(MODELS["small"], 7, (64, 128), False)
    assert fixed == 6 * 4 * MODELS["small"].build(7).count_params()
    assert image == pytest.approx(4 * quarter, rel=0.01)
    stem = 64 * 128 * 32  # the first convolution's output alone
    assert image > 2 * 4 * 3 * stem  # it, its normalisation and activation, and their gradients


def test_a_loss_that_sorts_needs_more() -> None:
    known = [step_bytes(MODELS["small"], 7, SIZE, sorts)[1] for sorts in (False, True)]
    errors_order_hits = 3 * 4 * 7 * 64 * 128  # of each pixel and class, beside running sums of them
    assert known[1] - known[0] > errors_order_hits


@pytest.mark.parametrize("batch", [0, -1, 1.5, "all"])
def test_a_batch_is_a_number_or_auto(batch: object) -> None:
    with pytest.raises(ValidationError):
        TrainParams(**PARAMS | {"batch": batch})
    assert TrainParams(**PARAMS | {"batch": "auto"}).batch == "auto"
