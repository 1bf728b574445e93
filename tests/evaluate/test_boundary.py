import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from roadseg.evaluate.boundary import TOLERANCE, boundary_counts, dilate
from roadseg.evaluate.measures import boundary_f

PAIRS = arrays(np.uint8, (2, 7, 9), elements=st.one_of(st.integers(0, 4), st.just(255)))


def slowly(truth: np.ndarray, prediction: np.ndarray, classes: int, radius: float) -> list[list[int]]:
    """The counts from the definition: every boundary pixel against every other."""

    def outline(mask: np.ndarray, label: int) -> list[tuple[int, int]]:
        found = []
        for y, x in zip(*np.nonzero((mask == label) & (truth < classes)), strict=True):
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            inside = [(v, u) for v, u in around if 0 <= v < mask.shape[0] and 0 <= u < mask.shape[1]]
            if any(mask[place] != label and truth[place] < classes for place in inside):
                found.append((int(y), int(x)))
        return found

    def near(these: list[tuple[int, int]], those: list[tuple[int, int]]) -> int:
        return sum(any(math.dist(one, other) <= radius for other in those) for one in these)

    counts = []
    for label in range(classes):
        guessed, true = outline(prediction, label), outline(truth, label)
        counts.append([len(guessed), near(guessed, true), len(true), near(true, guessed)])
    return counts


@pytest.mark.parametrize("tolerance", [0.0, 0.1, 0.21])
@given(pair=PAIRS)
def test_the_counts_are_those_of_the_definition(pair: np.ndarray, tolerance: float) -> None:
    expected = slowly(*pair, 4, tolerance * math.hypot(7, 9))
    assert boundary_counts(*pair, 4, tolerance).tolist() == expected


def test_more_classes_than_fit_in_one_integer_are_counted_alike() -> None:
    pair = np.random.default_rng(0).integers(0, 150, (2, 12, 20), dtype=np.uint8)
    assert boundary_counts(*pair, 150, 0.1).tolist() == slowly(*pair, 150, 0.1 * math.hypot(12, 20))


@given(st.integers(1, 9), st.integers(1, 9), st.floats(0, 12))
def test_a_pixel_grows_to_the_disc_around_it(height: int, width: int, radius: float) -> None:
    y, x = height // 2, width // 3
    bits = np.zeros((height, width), np.uint8)
    bits[y, x] = 4
    rows, columns = np.indices(bits.shape)
    np.testing.assert_array_equal(dilate(bits, radius) == 4, np.hypot(rows - y, columns - x) <= radius)


def test_the_tolerance_is_a_share_of_the_diagonal() -> None:
    left = np.arange(400)[None] < np.array([[200], [202], [203], [204]])  # 0.75 % of 500 pixels are 3.75
    truth, *shifted = (np.repeat(row[None], 300, 0).astype(np.uint8) for row in left)
    assert TOLERANCE * math.hypot(*truth.shape) == 3.75
    assert [boundary_f(boundary_counts(truth, mask, 2)).tolist() for mask in shifted] == [[1, 1], [1, 1], [0, 0]]


def test_a_boundary_on_one_side_only_scores_zero_and_on_none_nothing() -> None:
    flat, split = np.zeros((4, 6), np.uint8), np.repeat([[0, 0, 0, 1, 1, 1]], 4, 0).astype(np.uint8)
    np.testing.assert_array_equal(boundary_f(boundary_counts(flat, split, 3)), [0, 0, np.nan])
    np.testing.assert_array_equal(boundary_f(boundary_counts(split, flat, 3)), [0, 0, np.nan])
    np.testing.assert_array_equal(boundary_f(boundary_counts(flat, flat, 3)), [np.nan] * 3)
