from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.intervals import World, coverage
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.confusion import iou, mean_iou
from roadseg.contracts.evaluation import BINS, Counts, Evaluation
from roadseg.evaluate import intervals as module
from roadseg.evaluate.intervals import intervals, tail_share
from roadseg.evaluate.measures import mean
from roadseg.evaluate.scores import METRICS

FIGURES = {"miou": lambda counts: mean(iou(counts.confusion)), "iou": lambda counts: iou(counts.confusion)}


def of_matrices(matrices: np.ndarray, table: ClassTable) -> Counts:
    images, classes = len(matrices), table.count
    return Counts(matrices, np.zeros((images, classes, 4)), np.zeros((images, BINS, 3), np.int64), table)


def test_equal_seeds_give_equal_intervals_and_the_order_of_images_matters_not(evaluation: Evaluation) -> None:
    drives = evaluation.drives
    first, second = (intervals(evaluation.counts, drives, METRICS, resamples=250, seed=3) for _ in range(2))
    backward = intervals(evaluation.counts[::-1], drives[::-1], METRICS, resamples=250, seed=3)
    other = intervals(evaluation.counts, drives, METRICS, resamples=250, seed=4)
    assert first == second == backward
    assert first["miou"] != other["miou"]
    assert first["miou"][0] < first["miou"][1]


def test_the_ends_are_quantiles_of_whole_drives_drawn_anew(
    evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "tail_share", lambda groups, level: 0.05)
    drives, matrices = np.array(evaluation.drives), evaluation.counts.confusion
    low, high = intervals(evaluation.counts, drives.tolist(), FIGURES, resamples=4000, seed=0)["miou"]
    rng, names, drawn = np.random.default_rng(99), np.unique(drives), []
    for _ in range(4000):
        chosen = rng.choice(names, len(names))
        drawn.append(mean_iou(np.concatenate([matrices[drives == name] for name in chosen]).sum(0)))
    assert (low, high) == pytest.approx(np.quantile(drawn, [0.05, 0.95]), abs=0.004)


def test_the_chunks_change_nothing_but_memory(evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = intervals(evaluation.counts, evaluation.drives, FIGURES, resamples=100, seed=0)
    monkeypatch.setattr(module, "CHUNK", 7)
    parts = intervals(evaluation.counts, evaluation.drives, FIGURES, resamples=100, seed=0)
    np.testing.assert_array_equal(whole["iou"], parts["iou"])


def test_one_drive_says_nothing_about_others(evaluation: Evaluation) -> None:
    found = intervals(evaluation.counts, ["only"] * len(evaluation.counts), FIGURES, resamples=100, seed=0)
    assert np.isnan(found["miou"]).all()
    assert np.shape(found["iou"]) == (2, 5)


def test_a_class_that_no_image_holds_has_no_interval_and_one_that_some_hold_has(
    own_size: Callable[[int], ClassTable],
) -> None:
    matrices = np.zeros((4, 3, 4), np.int64)
    matrices[:, 0, 0], matrices[:, 0, 3], matrices[0, 1, 1] = [5, 6, 7, 8], 2, 9
    found = intervals(of_matrices(matrices, own_size(3)), list("abcd"), FIGURES, resamples=200, seed=0)["iou"]
    np.testing.assert_array_equal(np.isnan(found), [[False, False, True]] * 2)
    assert [ends[1] for ends in found] == [1, 1]  # where it is missing it is left out, not 0


def test_few_drives_widen_the_interval_and_many_do_not() -> None:
    tails = [tail_share(groups, 0.95) for groups in (3, 12, 48, 10_000)]
    assert tails == sorted(tails)
    assert tails[-1] == pytest.approx(0.025, abs=1e-4)


def test_over_drives_the_interval_holds_the_truth_as_often_as_it_says_and_over_images_it_does_not() -> None:
    found = coverage(World(drives=30, images=5, between=0.8), repeats=120, resamples=200)
    assert 0.88 <= found["drives_coverage"] <= 1
    assert found["images_coverage"] < 0.75
