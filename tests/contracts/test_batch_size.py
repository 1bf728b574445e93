import os
import subprocess
import sys
from collections.abc import Callable

import keras
import pytest

from roadseg.contracts.batch_size import fitting_batch, output_bytes, output_shapes
from roadseg.machine.hardware import device_memory


@pytest.mark.parametrize(("available", "batch"), [(1 << 50, 16), (2320, 16), (2319, 8), (2080, 4), (2039, 1), (1, 1)])
def test_it_is_the_largest_halving_that_fits(available: int, batch: int) -> None:
    assert fitting_batch(16, 1000, 10, available) == batch


def test_where_there_is_a_gpu_its_memory_counts(pretend_device: Callable[..., None]) -> None:
    pretend_device(1 << 50)
    assert device_memory() == 1 << 50
    pretend_device(1 << 50, gpu_bytes=1 << 30)
    assert device_memory() == 1 << 30


def test_the_bytes_of_the_outputs_are_those_of_all_layers_but_the_input() -> None:
    image = keras.Input((None, None, 3), dtype="uint8")
    halved = keras.layers.Conv2D(5, 2, 2)(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, halved)
    assert output_bytes(model, output_shapes(model, 8, 6)) == 4 * (8 * 6 * 3 + 4 * 3 * 5)


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_machine_without_a_gpu_has_none_on_either_backend(backend: str) -> None:
    code = "from roadseg.machine.hardware import has_gpu; print(has_gpu())"
    settings = os.environ | {"KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
