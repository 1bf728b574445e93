from pathlib import Path

import numpy as np
import pytest

from benchmarks.drift import blurrier, darker, foggier, noisier
from roadseg.contracts.classes import ClassTable
from roadseg.drift.figures import ANSWER, PICTURE, answer_figures, picture_figures
from roadseg.imaging.pixels import read_image
from roadseg.scan.statistics import image_facts


@pytest.fixture(scope="module")
def scene(scenes: Path) -> Path:
    return sorted((scenes / "leftImg8bit/train").rglob("*.jpg"))[0]


def test_what_scan_measures_too_is_measured_alike(scene: Path) -> None:
    facts, found = image_facts(scene), picture_figures(read_image(scene))
    for name in ("brightness", "contrast", "sharpness"):
        assert found[name] == pytest.approx(facts[name], rel=1e-4)
    assert found["pixels"] == facts["width"] * facts["height"]
    assert list(found) == list(PICTURE)


def test_each_harm_moves_the_figure_that_is_made_for_it(scene: Path) -> None:
    image, rng = read_image(scene), np.random.default_rng(0)
    before = picture_figures(image)
    assert picture_figures(darker(image, 0.3, rng))["brightness"] == pytest.approx(0.7 * before["brightness"], rel=0.02)
    assert picture_figures(foggier(image, 0.3, rng))["haze"] > before["haze"] + 0.1
    assert picture_figures(blurrier(image, 1.0, rng))["sharpness"] < before["sharpness"] / 2
    assert picture_figures(noisier(image, 10, rng))["noise"] > before["noise"] + 3


def test_noise_is_its_deviation_in_grey_levels_where_nothing_else_is() -> None:
    rng = np.random.default_rng(0)
    grey = np.repeat((128 + rng.normal(0, 8, (200, 300, 1))).round().clip(0, 255), 3, axis=2).astype(np.uint8)
    assert picture_figures(grey)["noise"] == pytest.approx(8, rel=0.05)
    edges = np.zeros((200, 300, 3), np.uint8)
    edges[:, 150:] = 255
    assert picture_figures(edges)["noise"] == 0


@pytest.mark.parametrize("shape", [(1, 1), (2, 40), (40, 2), (227, 320)])
def test_a_picture_of_any_size_has_figures(shape: tuple[int, int]) -> None:
    found = picture_figures(np.full((*shape, 3), (200, 100, 50), np.uint8))
    assert found["haze"] == pytest.approx(50 / 255)
    assert found["warmth"] == pytest.approx(150 / 255)
    assert found["sharpness"] == 0


def test_shares_are_of_all_pixels_and_doubt_is_below_one_half(idd_level1: ClassTable) -> None:
    ids = np.array([[0, 0, 6, 2]], np.uint8)
    found = answer_figures(ids, np.array([[0.9, 0.4, 0.7, 0.8]], np.float32), idd_level1.names)
    assert found["share of sky"] == 0.25
    assert sum(value for name, value in found.items() if name.startswith("share of")) == 1
    assert (found["confidence"], found["doubt"]) == (pytest.approx(0.7), 0.25)
    assert set(ANSWER) <= found.keys()
