import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.confusion import confusion, iou, mean_iou
from roadseg.contracts.evaluation import Counts
from roadseg.evaluate.counting import count
from roadseg.evaluate.measures import accuracy, dice, frequency_weighted_iou, mean, precision, recall
from roadseg.evaluate.scores import figures

PAIRS = arrays(np.uint8, (2, 4, 6), elements=st.one_of(st.integers(0, 6), st.just(255)))
EXACT = {"rtol": 0, "atol": 1e-12}
Figures = dict[str, list[float] | float]


def slowly(truth: np.ndarray, prediction: np.ndarray, classes: int) -> Figures:
    """Every figure from its definition, pixel by pixel in plain Python; NaN for a class that occurs nowhere."""
    pairs = [
        pair for pair in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True) if pair[0] < classes
    ]
    found: dict[str, list[float]] = {"iou": [], "dice": [], "precision": [], "recall": []}
    weighted = 0.0
    for label in range(classes):
        hit = sum(pair == (label, label) for pair in pairs)
        missed = sum(true == label != guess for true, guess in pairs)
        false = sum(guess == label != true for true, guess in pairs)
        there = hit + missed + false > 0
        found["iou"].append(hit / (hit + missed + false) if there else math.nan)
        found["dice"].append(2 * hit / (2 * hit + missed + false) if there else math.nan)
        found["precision"].append((hit / (hit + false) if hit + false else 0) if there else math.nan)
        found["recall"].append((hit / (hit + missed) if hit + missed else 0) if there else math.nan)
        weighted += (hit + missed) / len(pairs) * found["iou"][-1] if hit + missed else 0
    return {
        **found,
        "fwiou": weighted if pairs else math.nan,
        "pixel_accuracy": sum(true == guess for true, guess in pairs) / len(pairs) if pairs else math.nan,
    }


def assert_as_slowly(truth: np.ndarray, prediction: np.ndarray, table: ClassTable, size: tuple[int, int]) -> None:
    found = figures(count(truth, prediction, table))
    expected = slowly(
        *(np.asarray(Image.fromarray(one).resize(size[::-1], 0)) for one in (truth, prediction)), table.count
    )
    for name in ("iou", "dice", "precision", "recall"):
        values = expected[name]
        assert isinstance(values, list)
        np.testing.assert_allclose([found[f"{name}.{each}"] for each in table.names], values, **EXACT)
        left = [value for value in values if not math.isnan(value)]
        np.testing.assert_allclose(found[f"m{name}"], sum(left) / len(left) if left else math.nan, **EXACT)
    for name in ("fwiou", "pixel_accuracy"):
        np.testing.assert_allclose(found[name], expected[name], **EXACT)


@given(pair=PAIRS)
def test_every_figure_is_that_of_an_independent_slow_computation(
    pair: np.ndarray, own_size: Callable[[int], ClassTable]
) -> None:
    assert_as_slowly(*pair, own_size(5), (4, 6))


@pytest.mark.parametrize(
    ("truth", "prediction"),
    [
        pytest.param([[0, 1, 255, 255]], [[0, 0, 1, 2]], id="void in the truth"),
        pytest.param([[0, 1, 1, 2]], [[0, 255, 1, 255]], id="void in the prediction"),
        pytest.param([[0, 0, 1, 1]], [[0, 1, 1, 1]], id="an absent class"),
        pytest.param([[0, 0, 0, 0]], [[1, 1, 1, 1]], id="predicted only"),
        pytest.param([[255, 255, 255, 255]], [[0, 1, 2, 255]], id="nothing but void"),
    ],
)
def test_hand_made_cases_score_as_the_slow_computation(
    truth: list[list[int]], prediction: list[list[int]], own_size: Callable[[int], ClassTable]
) -> None:
    assert_as_slowly(np.array(truth, np.uint8), np.array(prediction, np.uint8), own_size(3), (1, 4))


@pytest.mark.parametrize(("guess", "label"), [((227, 320), (227, 320)), ((60, 99), (227, 320)), ((128, 256), (3, 5))])
def test_masks_of_different_sizes_meet_at_the_official_one(
    idd_level1: ClassTable, guess: tuple[int, int], label: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    truth, prediction = (rng.integers(0, 6, size, dtype=np.uint8) for size in (label, guess))
    truth[0, :2] = prediction[-1, :7] = 255
    assert_as_slowly(truth, prediction, idd_level1, (128, 256))


def test_a_class_that_is_there_and_never_predicted_has_precision_zero() -> None:
    matrix = confusion(np.array([[0, 1]], np.uint8), np.array([[0, 0]], np.uint8), 3)
    np.testing.assert_array_equal(precision(matrix), [0.5, 0, np.nan])
    np.testing.assert_array_equal(recall(matrix), [1, 0, np.nan])


@given(arrays(np.int64, (3, 2, 4, 5), elements=st.integers(0, 9)))
def test_leading_axes_are_scored_one_by_one(matrices: np.ndarray) -> None:
    for measure in (iou, dice, precision, recall, accuracy, frequency_weighted_iou):
        values = measure(matrices)
        for place in np.ndindex(3, 2):
            np.testing.assert_array_equal(values[place], measure(matrices[place]))


@given(arrays(np.int64, (26, 27), elements=st.integers(0, 99)))
def test_the_official_figures_are_the_very_ones_of_the_contract(matrix: np.ndarray) -> None:
    assert float(mean(iou(matrix))) == pytest.approx(mean_iou(matrix), abs=0, nan_ok=True)
    right = np.trace(matrix[:, :-1]) / matrix.sum() if matrix.any() else math.nan
    assert float(accuracy(matrix)) == pytest.approx(right, abs=0, nan_ok=True)


def test_the_mean_leaves_absent_classes_out_and_is_not_a_number_without_any() -> None:
    np.testing.assert_array_equal(mean(np.array([[1, np.nan, 0], [np.nan] * 3])), [0.5, np.nan])


def test_counts_of_images_add_up(masks: np.ndarray, own_size: Callable[[int], ClassTable]) -> None:
    table = own_size(5)
    parts = Counts.stack((count(*pair, table) for pair in masks), table)
    tall = [np.concatenate(list(side)) for side in np.moveaxis(masks, 1, 0)]
    np.testing.assert_array_equal(parts.total().confusion, count(*tall, table).confusion)
