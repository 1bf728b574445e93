import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from roadseg.contracts.confusion import confusion, iou, mean_iou
from roadseg.evaluate.measures import accuracy

PAIRS = arrays(np.uint8, (2, 4, 6), elements=st.one_of(st.integers(0, 8), st.just(255)))


def official(truth: np.ndarray, prediction: np.ndarray, classes: int) -> tuple[list[float | None], float]:
    """The score from its definition, pixel by pixel, in plain Python; None for a class that occurs nowhere."""
    values: list[float | None] = []
    pixels = list(zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True))
    for label in range(classes):
        hit = missed = false = 0
        for true, predicted in pixels:
            if true >= classes:
                continue
            hit += true == label and predicted == label
            missed += true == label and predicted != label
            false += true != label and predicted == label
        values.append(hit / (hit + missed + false) if hit + missed + false else None)
    there = [value for value in values if value is not None]
    return values, sum(there) / len(there) if there else math.nan


def assert_scores_as_the_reference(truth: np.ndarray, prediction: np.ndarray, classes: int) -> None:
    expected, mean = official(truth, prediction, classes)
    matrix = confusion(truth, prediction, classes)
    as_numbers = [math.nan if value is None else value for value in expected]
    np.testing.assert_allclose(iou(matrix), as_numbers, rtol=0, atol=1e-12)
    np.testing.assert_allclose(mean_iou(matrix), mean, rtol=0, atol=1e-12)


def masks(*rows: list[int]) -> list[np.ndarray]:
    return [np.array([row], np.uint8) for row in rows]


@given(PAIRS, st.integers(1, 9))
def test_the_score_is_that_of_a_slow_and_obvious_reference(pair: np.ndarray, classes: int) -> None:
    assert_scores_as_the_reference(*pair, classes)


@pytest.mark.parametrize("classes", [1, 2, 7, 26, 200])
def test_the_score_is_that_of_the_reference_for_masks_of_every_byte(classes: int) -> None:
    pair = np.random.default_rng(classes).integers(0, 256, (2, 13, 17), dtype=np.uint8)
    pair[1, :5] = pair[0, :5]
    assert_scores_as_the_reference(*pair, classes)


def test_a_case_worked_by_hand_gives_its_matrix_and_its_score() -> None:
    truth, prediction = masks([0, 0, 0, 1, 1, 255, 2], [0, 0, 1, 1, 255, 0, 0])
    matrix = confusion(truth, prediction, classes=3)
    assert matrix.tolist() == [[2, 1, 0, 0], [0, 1, 0, 1], [1, 0, 0, 0]]
    np.testing.assert_allclose(iou(matrix), [2 / 4, 1 / 3, 0], atol=1e-12)
    assert mean_iou(matrix) == pytest.approx((1 / 2 + 1 / 3) / 3, abs=1e-12)
    assert accuracy(matrix) == pytest.approx(3 / 6, abs=1e-12)


@given(PAIRS, st.integers(0, 255))
def test_what_is_predicted_on_void_truth_does_not_matter(pair: np.ndarray, other: int) -> None:
    truth, prediction = pair
    changed = np.where(truth >= 7, np.uint8(other), prediction)
    np.testing.assert_array_equal(confusion(truth, prediction, 7), confusion(truth, changed, 7))


@pytest.mark.parametrize("void", [7, 100, 255])
def test_predicting_void_costs_as_much_as_any_miss(void: int) -> None:
    truth, right, wrong = masks([0, 0, 1, 1], [0, 0, 1, 1], [0, void, 1, 1])
    assert mean_iou(confusion(truth, right, 7)) == 1
    assert iou(confusion(truth, wrong, 7))[:2].tolist() == [1 / 2, 1]


def test_a_class_in_neither_mask_is_left_out_of_the_mean_and_is_not_zero() -> None:
    matrix = confusion(*masks([0, 0, 1, 1], [0, 0, 1, 1]), classes=7)
    assert np.isnan(iou(matrix)).tolist() == [False] * 2 + [True] * 5
    assert mean_iou(matrix) == 1


def test_a_class_that_is_only_predicted_scores_zero_and_counts() -> None:
    matrix = confusion(*masks([0, 0, 0, 0], [0, 0, 1, 0]), classes=3)
    assert iou(matrix)[:2].tolist() == [3 / 4, 0]
    assert mean_iou(matrix) == 3 / 8


def test_where_all_truth_is_void_the_score_is_not_a_number_and_nothing_warns() -> None:
    matrix = confusion(*masks([255, 255], [0, 1]), classes=2)
    assert np.isnan([mean_iou(matrix), accuracy(matrix), *iou(matrix)]).all()


@given(PAIRS)
def test_an_image_counts_the_same_whole_or_in_halves(pair: np.ndarray) -> None:
    left, right = (confusion(*half, classes=7) for half in np.split(pair, 2, axis=2))
    np.testing.assert_array_equal(left + right, confusion(*pair, classes=7))


@given(PAIRS)
def test_a_row_adds_up_to_the_pixels_of_its_class(pair: np.ndarray) -> None:
    counted = np.bincount(pair[0].ravel(), minlength=256)[:7]
    np.testing.assert_array_equal(confusion(*pair, classes=7).sum(1), counted)


def test_two_hundred_classes_do_not_wrap_around_in_a_byte() -> None:
    matrix = confusion(*masks([199, 199, 1], [198, 199, 255]), classes=200)
    assert matrix.shape == (200, 201)
    assert [tuple(cell) for cell in np.argwhere(matrix).tolist()] == [(1, 200), (199, 198), (199, 199)]


def test_masks_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        confusion(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 7)
