import numpy as np
import pytest

from roadseg.contracts.evaluation import BINS, UNIT
from roadseg.evaluate.calibration import expected_calibration_error, reliability_counts


def masks(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth, prediction = rng.integers(0, 4, (2, 40, 60), dtype=np.uint8)
    truth[:3] = 255
    return truth, prediction, rng.random((40, 60)).astype(np.float32)


def slowly(truth: np.ndarray, prediction: np.ndarray, confidence: np.ndarray, classes: int) -> float:
    bins: list[list[tuple[bool, float]]] = [[] for _ in range(15)]
    for true, guess, sure in zip(truth.ravel(), prediction.ravel(), confidence.ravel().tolist(), strict=True):
        if true < classes:
            bins[min(int(sure * 15), 14)].append((bool(true == guess), sure))
    pixels = sum(map(len, bins))
    gaps = (abs(sum(right for right, _ in each) - sum(sure for _, sure in each)) for each in bins)
    return sum(gaps) / pixels


def test_the_error_is_that_of_the_definition_up_to_the_rounding_of_a_confidence() -> None:
    found = expected_calibration_error(reliability_counts(*masks(), 4))
    assert found == pytest.approx(slowly(*masks(), 4), abs=1 / UNIT + 1e-3)
    truth, prediction, sure = masks()
    exact = (np.rint(sure * UNIT) / UNIT).astype(np.float64)
    assert found == pytest.approx(slowly(truth, prediction, exact, 4), abs=1e-12)


def test_a_model_that_is_right_as_often_as_it_says_has_no_error() -> None:
    truth = np.zeros((1, 100), np.uint8)
    prediction = (np.arange(100)[None] >= 75).astype(np.uint8)
    for sure, error in ((0.75, 0), (1.0, 0.25), (0.5, 0.25)):
        counts = reliability_counts(truth, prediction, np.full((1, 100), sure, np.float32), 2)
        assert expected_calibration_error(counts) == pytest.approx(error)


def test_void_truth_is_not_counted_and_without_pixels_there_is_no_error() -> None:
    counts = reliability_counts(*masks(), 4)
    assert counts[:, 0].sum() == 37 * 60
    assert counts.shape == (BINS, 3)
    assert np.isnan(expected_calibration_error(np.zeros((BINS, 3), np.int64)))


def test_full_confidence_falls_into_the_last_bin() -> None:
    one = np.ones((1, 1), np.float32)
    assert reliability_counts(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8), one, 2)[-1].tolist() == [
        1,
        1,
        UNIT,
    ]
