from collections.abc import Iterator
from contextlib import nullcontext

import keras
import numpy as np
import pytest

from roadseg.train.run.loop import score_monitored

CLASSES = 7


@pytest.fixture
def model() -> keras.Model:
    """Says of every pixel the class whose number it holds."""
    image = keras.Input((None, None, 1), dtype="float32")
    numbers = keras.layers.Conv2D(CLASSES, 1, name="numbers")(image)
    model = keras.Model(image, numbers)
    model.compile(keras.optimizers.SGD(use_ema=True), "mse")
    model.optimizer.build(model.trainable_variables)
    of_class = np.arange(CLASSES, dtype=np.float32)
    weights = [2 * of_class[None, None, None], -(of_class**2)]
    model.set_weights(weights)
    for average, value in zip(model.optimizer._model_variables_moving_average, weights, strict=True):
        average.assign(value)
    return model


def batches(numbers: list[int], size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, len(numbers), size):
        filled = np.stack([np.full((2, 4, 1), number, np.uint8) for number in numbers[start : start + size]])
        yield filled.astype(np.float32), filled[..., 0]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_what_is_shown_is_found_in_whatever_batch_it_comes(model: keras.Model, size: int) -> None:
    numbers = [3, 0, 6, 1, 5]
    matrix, seen = score_monitored(model, batches(numbers, size), CLASSES, nullcontext(), shown=[0, 3, 4])
    assert seen.shape == (3, 2, 4)
    assert [np.unique(ids).tolist() for ids in seen] == [[3], [1], [5]]
    assert np.diag(matrix).tolist() == [8 * numbers.count(number) for number in range(CLASSES)]


def test_nothing_is_shown_unless_asked(model: keras.Model) -> None:
    assert not len(score_monitored(model, batches([1, 2], 2), CLASSES, nullcontext())[1])
