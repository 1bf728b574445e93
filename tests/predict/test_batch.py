"""The batch is sized to the device, and no mask depends on it."""

from collections.abc import Callable
from dataclasses import replace

import keras
import numpy as np
import pytest

from roadseg.contracts.batch_size import output_bytes, output_shapes
from roadseg.contracts.bundle import SAMPLES, Bundle, write_bundle
from roadseg.contracts.classes import ClassTable
from roadseg.evaluate.counting import count
from roadseg.predict.batch import MAX_ON_CPU, MAX_ON_GPU, fitting_tiles
from roadseg.predict.predictor import Predictor
from roadseg.train.models.deploy import deploy
from roadseg.train.models.known import MODELS


@pytest.fixture(scope="module")
def unet(tmp_path_factory: pytest.TempPathFactory, idd_level1: ClassTable) -> Bundle:
    keras.utils.set_random_seed(0)
    folder, small = tmp_path_factory.mktemp("unet"), MODELS["small"]
    model = deploy(small.build(idd_level1.count), small, idd_level1.count)
    card = {"height": 32, "width": 64, "stride": small.stride, "classes": idd_level1.content, "output": "logits"}
    write_bundle(folder, model, card, SAMPLES.empty_table())
    return Bundle.open(folder)


def test_with_memory_enough_it_is_the_device_s(unet: Bundle, pretend_device: Callable[..., None]) -> None:
    pretend_device(1 << 50)
    assert fitting_tiles(unet.load(), [unet.framing]) == MAX_ON_CPU
    pretend_device(1 << 20, gpu_bytes=1 << 50)
    assert fitting_tiles(unet.load(), [unet.framing]) == MAX_ON_GPU


@pytest.mark.parametrize("fits", [1, 4, 16])
def test_else_it_is_what_fits_of_the_largest_tiles(
    unet: Bundle, pretend_device: Callable[..., None], fits: int
) -> None:
    model, large = unet.load(), replace(unet.framing, height=64, width=128)
    needed = 4 * model.count_params() + fits * output_bytes(model, output_shapes(model, 64, 128))
    pretend_device(1, gpu_bytes=2 * needed)
    assert fitting_tiles(model, [unet.framing, large]) == fits
    assert fitting_tiles(model, [unet.framing]) > fits


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_the_counts_of_a_real_model_are_the_same_with_every_batch(
    unet: Bundle, idd_level1: ClassTable, overlap: float
) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (45, 80, 3), np.uint8) for _ in range(6)]
    truth = rng.integers(0, idd_level1.count, (45, 80), np.uint8)
    found = []
    for batch in (1, 4, 6, "auto"):
        predictor = Predictor(unet, batch=batch, scales=[1.0, 2.0], overlap=overlap)
        found.append([count(truth, *answer[:1], idd_level1) for answer in predictor.with_confidence(images)])
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(one.confusion, other.confusion)
            np.testing.assert_array_equal(one.boundary, other.boundary)


def test_without_a_number_the_predictor_takes_what_fits(unet: Bundle, pretend_device: Callable[..., None]) -> None:
    pretend_device(1)
    assert Predictor(unet)._batch == 1
