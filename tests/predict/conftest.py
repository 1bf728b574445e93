from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bundles import convolution
from bundles import painter as painter_in

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.classes import ClassTable


@pytest.fixture(scope="session")
def make_bundle(idd_level1: ClassTable) -> Callable[..., Bundle]:
    """Make a bundle from the weights of one convolution; see `bundles.convolution`."""

    def make(folder: Path, kernel: np.ndarray, bias: np.ndarray, **card: object) -> Bundle:
        return convolution(folder, idd_level1, kernel, bias, **card)

    return make


@pytest.fixture(scope="session")
def painter(tmp_path_factory: pytest.TempPathFactory, idd_level1: ClassTable) -> Bundle:
    """See `bundles.painter`."""
    return painter_in(tmp_path_factory.mktemp("painter"), idd_level1)


@pytest.fixture(scope="session", params=[("stretch", 2), ("pad", 0), ("pad", 3)], ids=str)
def framed_painter(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, idd_level1: ClassTable
) -> Bundle:
    """A painter whose frames are padded, cut into tiles or both."""
    aspect, tile = request.param
    return painter_in(tmp_path_factory.mktemp("framed"), idd_level1, aspect=aspect, tile=tile)


@pytest.fixture(scope="session")
def leaner(
    make_bundle: Callable[..., Bundle], tmp_path_factory: pytest.TempPathFactory, idd_level1: ClassTable
) -> Bundle:
    """A bundle that looks further to one side than to the other."""
    kernel = np.random.default_rng(0).normal(size=(3, 3, 3, idd_level1.count))
    return make_bundle(tmp_path_factory.mktemp("leaner"), kernel, np.zeros(idd_level1.count))
