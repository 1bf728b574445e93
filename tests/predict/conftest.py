from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from roadseg.contracts.bundle import SAMPLES, Bundle, write_bundle
from roadseg.contracts.classes import ClassTable

HEIGHT, WIDTH = 32, 64


@pytest.fixture(scope="session")
def make_bundle(idd_level1: ClassTable) -> Callable[..., Bundle]:
    """Make a bundle from the weights of one convolution of uint8 pixels in 0..1."""

    def make(folder: Path, kernel: np.ndarray, bias: np.ndarray, **framing: object) -> Bundle:
        image = keras.Input((None, None, 3), dtype="uint8", name="image")
        x = keras.layers.Rescaling(1 / 255, name="scale")(image)
        x = keras.layers.Conv2D(len(bias), kernel.shape[:2], padding="same", name="logits")(x)
        model = keras.Model(image, x, name="tiny")
        model.set_weights([kernel, bias])
        card = {"height": HEIGHT, "width": WIDTH, "stride": 1, "classes": idd_level1.content, "output": "logits"}
        card |= framing
        write_bundle(folder, model, card, SAMPLES.empty_table())
        return Bundle.open(folder)

    return make


@pytest.fixture(scope="session")
def painter(
    make_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory, idd_level1: ClassTable
) -> Bundle:
    """A bundle that knows each class by its colour in the table: the nearest colour wins."""
    colours = idd_level1.palette[: idd_level1.count] / 255
    return make_bundle(tmp_path_factory.mktemp("painter"), 2 * colours.T[None, None], -(colours**2).sum(1))


@pytest.fixture(scope="session", params=[("stretch", 2), ("pad", 0), ("pad", 3)], ids=str)
def framed_painter(
    request: pytest.FixtureRequest,
    make_bundle: Callable[..., Bundle],
    tmp_path_factory: pytest.TempPathFactory,
    idd_level1: ClassTable,
) -> Bundle:
    """A painter whose frames are padded, cut into tiles or both."""
    colours, (aspect, tile) = idd_level1.palette[: idd_level1.count] / 255, request.param
    folder = tmp_path_factory.mktemp("framed")
    return make_bundle(folder, 2 * colours.T[None, None], -(colours**2).sum(1), aspect=aspect, tile=tile)


@pytest.fixture(scope="session")
def leaner(
    make_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory, idd_level1: ClassTable
) -> Bundle:
    """A bundle that looks further to one side than to the other."""
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, idd_level1.count))
    return make_bundle(tmp_path_factory.mktemp("leaner"), kernel, np.zeros(idd_level1.count))
