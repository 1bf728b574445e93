from pathlib import Path

import numpy as np
import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.watched import chosen, moments, read_watched, write_guess, write_watched


def test_what_is_kept_is_read_again(tmp_path: Path, idd_level1: ClassTable) -> None:
    rng = np.random.default_rng(0)
    images, truth = rng.integers(0, 256, (2, 4, 8, 3), np.uint8), rng.integers(0, 7, (2, 4, 8), np.uint8)
    guess = rng.integers(0, 7, (2, 2, 4), np.uint8)
    write_watched(tmp_path, images, truth, idd_level1)
    write_guess(tmp_path, 3, guess)
    watched = read_watched(tmp_path, 3)
    assert watched is not None
    assert watched.classes == idd_level1
    for found, kept in ((watched.images, images), (watched.truth, truth), (watched.guess, guess)):
        np.testing.assert_array_equal(found, kept)


@pytest.mark.parametrize("gone", ["images", "3"])
def test_what_is_gone_is_none(tmp_path: Path, idd_level1: ClassTable, gone: str) -> None:
    write_watched(tmp_path, np.zeros((1, 4, 8, 3), np.uint8), np.zeros((1, 4, 8), np.uint8), idd_level1)
    write_guess(tmp_path, 3, np.zeros((1, 2, 4), np.uint8))
    (tmp_path / f"watched/{gone}.npz").unlink()
    assert read_watched(tmp_path, 3) is None


@pytest.mark.parametrize(("count", "wanted", "numbers"), [(51, 4, [0, 12, 25, 38]), (4, 4, [0, 1, 2, 3]), (1, 4, [0])])
def test_images_are_evenly_spread(count: int, wanted: int, numbers: list[int]) -> None:
    assert chosen(count, wanted) == numbers


@pytest.mark.parametrize(
    ("epochs", "found"),
    [(1, {1}), (3, {1, 2, 3}), (16, {1, 2, 3, 5, 6, 8, 10, 11, 13, 14, 16}), (100, {1, *range(10, 101, 10)})],
)
def test_the_first_and_the_last_epoch_are_among_the_moments(epochs: int, found: set[int]) -> None:
    assert moments(epochs, 10) == found
