from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.confusion import confusion, iou, mean_iou
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import Counts, Evaluation
from roadseg.evaluate.counting import count
from roadseg.evaluate.scores import evaluated
from roadseg.scoring.slices import SLICES, Slice, slices, worst_slices


def recomputed(masks: np.ndarray, chosen: list[int]) -> np.ndarray:
    """The matrix of some images from their masks, as if they were one long image."""
    truth, prediction = (np.concatenate([masks[number, side] for number in chosen]) for side in (0, 1))
    return confusion(truth, prediction, 5)


def assert_same(found: Slice, masks: np.ndarray, chosen: list[int], about: int | None = None) -> None:
    part, everything = recomputed(masks, chosen), iou(recomputed(masks, list(range(12))))
    there = np.isfinite(iou(part))
    assert (found.images, found.drives) == (len(chosen), len({number // 3 for number in chosen}))
    assert found.miou == pytest.approx(mean_iou(part), abs=1e-12)
    assert found.below == pytest.approx(everything[there].mean() - mean_iou(part), abs=1e-12)
    assert found.iou == (None if about is None else pytest.approx(iou(part)[about], abs=1e-12))


def test_a_drive_scores_as_its_images_do_when_counted_again(evaluation: Evaluation, masks: np.ndarray) -> None:
    found = {part.name: part for part in slices(evaluation, "drive", 4)}
    assert sorted(found) == ["d0", "d1", "d2", "d3"]
    for number in range(4):
        assert_same(found[f"d{number}"], masks, list(range(3 * number, 3 * number + 3)))


def test_brightness_is_cut_into_parts_of_equally_many_images(evaluation: Evaluation, masks: np.ndarray) -> None:
    found = {part.name: part for part in slices(evaluation, "brightness", 3)}
    assert sorted(found) == ["0 to 0.15", "0.2 to 0.35", "0.4 to 0.55"]
    for place, name in enumerate(sorted(found)):
        assert_same(found[name], masks, list(range(4 * place, 4 * place + 4)))


def test_an_image_of_unknown_sharpness_is_in_no_slice_by_sharpness(evaluation: Evaluation) -> None:
    assert sum(part.images for part in slices(evaluation, "sharpness", 4)) == 11


def test_a_class_s_slice_holds_the_images_that_show_it(evaluation: Evaluation, masks: np.ndarray) -> None:
    found = {part.name: part for part in slices(evaluation, "class", 4)}
    assert_same(found["c4"], masks, [0, 1, 2], about=4)
    assert_same(found["c0"], masks, list(range(12)), about=0)


def test_size_is_the_class_s_share_of_the_counted_pixels(evaluation: Evaluation, masks: np.ndarray) -> None:
    shares = [(mask[0] == 2).sum() / (mask[0] < 5).sum() for mask in masks]
    order, found = np.argsort(shares, kind="stable"), slices(evaluation, "size", 2)
    small, large = sorted((part for part in found if part.name.startswith("c2 ")), key=lambda part: part.name)
    assert_same(small, masks, order[:6].tolist(), about=2)
    assert_same(large, masks, order[6:].tolist(), about=2)
    assert large.name.endswith(f"{100 * max(shares):.2g} % of the image")


def test_equal_values_stay_together(masks: np.ndarray, own_size: Callable[[int], ClassTable]) -> None:
    rows: list[dict[str, Any]] = [
        {"sample": str(number), "drive": None, "brightness": 0.5 if number < 9 else 0.6} for number in range(12)
    ]
    table = own_size(5)
    flat = evaluated(rows, Counts.stack((count(*pair, table) for pair in masks), table))
    assert sorted(part.images for part in slices(flat, "brightness", 6)) == [3, 9]
    assert {part.drives for part in slices(flat, "class", 6) if part.name == "c0"} == {12}
    assert slices(flat, "sharpness", 4) == []


def test_the_worst_come_first_and_those_of_too_few_images_not_at_all(evaluation: Evaluation) -> None:
    for by in SLICES:
        below = [part.below for part in slices(evaluation, by, 4)]
        assert below == sorted(below, reverse=True)
    every = [part for by in SLICES for part in slices(evaluation, by, 4)]
    worst = worst_slices(evaluation, 5, least=4, quantiles=4)
    assert len(worst) == 5
    assert min(part.images for part in worst) >= 4
    assert worst[0].below == max(part.below for part in every if part.images >= 4)
    assert any(part.below > worst[0].below for part in every)


def test_a_drive_in_which_the_model_fails_is_found_by_itself(
    masks: np.ndarray, rows: list[dict[str, Any]], own_size: Callable[[int], ClassTable]
) -> None:
    spoiled, table = masks.copy(), own_size(5)
    spoiled[6:9, 1] = 3
    found = evaluated(rows, Counts.stack((count(*pair, table) for pair in spoiled), table))
    first = worst_slices(found, 1, least=2, quantiles=3)[0]
    assert (first.by, first.name, first.images, first.drives) == ("drive", "d2", 3, 1)


def test_a_slice_without_its_hard_class_is_compared_without_it(evaluation: Evaluation, masks: np.ndarray) -> None:
    drive = next(part for part in slices(evaluation, "drive", 4) if part.name == "d3")
    everything = iou(recomputed(masks, list(range(12))))
    assert np.isnan(iou(recomputed(masks, [9, 10, 11]))[4])
    assert drive.miou + drive.below == pytest.approx(everything[:4].mean())


def test_an_unknown_slice_lists_those_there_are(evaluation: Evaluation) -> None:
    with pytest.raises(UsageError, match="no slice 'weather': there are drive, brightness, sharpness, class, size"):
        slices(evaluation, "weather", 4)
