from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.confusion import confusion, iou, mean_iou
from roadseg.contracts.evaluation import Evaluation, read_evaluation, read_scores
from roadseg.evaluate.counting import count
from roadseg.evaluate.scores import (
    CLASS_METRICS,
    METRICS,
    at_size,
    evaluated,
    figures,
    official_size,
    summary,
)
from roadseg.evaluate.write import write_scores


@pytest.mark.parametrize(
    ("table", "size"), [("idd-level1", (128, 256)), ("idd-level2", (720, 1280)), ("idd-level3", (720, 1280))]
)
def test_the_official_size_is_that_of_the_authors(table: str, size: tuple[int, int]) -> None:
    assert official_size(ClassTable.find(table), np.zeros((227, 320), np.uint8)) == size


def test_another_table_is_scored_at_the_masks_own_size() -> None:
    assert official_size(ClassTable.find("road"), np.zeros((227, 320), np.uint8)) == (227, 320)


def test_both_masks_are_brought_to_a_size_with_nearest_neighbour() -> None:
    rng = np.random.default_rng(0)
    truth, guess = rng.integers(0, 7, (227, 320), np.uint8), rng.integers(0, 7, (64, 96), np.uint8)
    for mask, resized in zip((truth, guess), at_size(truth, guess, (128, 256)), strict=True):
        expected = Image.fromarray(mask).resize((256, 128), Image.Resampling.NEAREST)
        np.testing.assert_array_equal(resized, np.asarray(expected))


@pytest.fixture
def written(tmp_path: Path, evaluation: Evaluation) -> Path:
    write_scores(tmp_path / "evaluation", tmp_path / "metrics.json", evaluation, resamples=200, seed=0)
    return tmp_path


def test_every_figure_can_be_computed_again_from_what_is_stored(written: Path) -> None:
    stored = read_evaluation(written / "evaluation")
    found, total = read_scores(written / "evaluation"), np.load(written / "evaluation/confusion.npy").sum(0)
    assert (found["split"], found["images"], found["drives"]) == ("val", 12, 4)
    assert (found["miou"], found["pixel_accuracy"]) == (mean_iou(total), np.trace(total[:, :-1]) / total.sum())
    again = summary(stored, resamples=200, seed=0)
    assert found == {"schema": "roadseg/scores/1", "split": "val"} | again


def test_a_figure_lies_within_its_intervals_and_the_one_over_drives_is_another(written: Path) -> None:
    found = read_scores(written / "evaluation")
    for name in METRICS:
        if name in found:
            assert found[f"{name}_low"] <= found[name] <= found[f"{name}_high"], name
            assert found[f"{name}_images_low"] <= found[name] <= found[f"{name}_images_high"], name
    assert found["iou_low.c0"] <= found["iou.c0"] <= found["iou_high.c0"]
    assert found["miou_low"] != found["miou_images_low"]


def test_figures_that_a_table_has_not_are_left_out(
    evaluation: Evaluation, masks: np.ndarray, idd_level3: ClassTable
) -> None:
    few, many = (set(figures(count(*masks[0], table))) for table in (evaluation.counts.classes, idd_level3))
    assert many & METRICS.keys() == METRICS.keys()
    assert METRICS.keys() - few == {"safe_miou", "miou_level1", "miou_level2"}


def test_a_class_that_is_absent_is_null_and_not_zero(lacking: Path) -> None:
    for name in (*CLASS_METRICS, "iou_low", "iou_high"):
        assert read_scores(lacking)[f"{name}.c5"] is None
        assert read_scores(lacking)[f"{name}.c4"] is not None
    assert read_scores(lacking)["ece"] is None  # no confidence was handed in


def test_per_image_figures_stand_in_the_order_of_the_matrices(
    written: Path, rows: list[dict[str, Any]], masks: np.ndarray
) -> None:
    matrices = [confusion(*pair, 5) for pair in masks]
    images = read_evaluation(written / "evaluation").images.to_pylist()
    assert [(row["sample"], row["drive"]) for row in images] == [(row["sample"], row["drive"]) for row in rows]
    assert [row["miou"] for row in images] == [mean_iou(matrix) for matrix in matrices]
    assert [row["iou.c3"] for row in images] == [iou(matrix)[3] for matrix in matrices]
    assert [row["brightness"] for row in images] == pytest.approx([row["brightness"] for row in rows])
    assert images[5]["sharpness"] is None


def test_equal_counts_give_equal_bytes(tmp_path: Path, evaluation: Evaluation) -> None:
    for name in ("one", "two"):
        write_scores(tmp_path / name, tmp_path / name / "metrics.json", evaluation, resamples=100, seed=0)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_rows_and_counts_of_different_number_are_refused(evaluation: Evaluation, rows: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="shorter"):
        evaluated(rows[:2], evaluation.counts)


def test_one_entry_adds_a_metric_to_every_file(
    tmp_path: Path,
    masks: np.ndarray,
    evaluation: Evaluation,
    rows: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(METRICS, "counted", lambda counts: counts.confusion.sum((-2, -1)))
    monkeypatch.setitem(CLASS_METRICS, "pixels", lambda counts: counts.confusion.sum(-1))
    write_scores(tmp_path, tmp_path / "metrics.json", evaluated(rows, evaluation.counts), resamples=100, seed=0)
    known = [int((pair[0] < 5).sum()) for pair in masks]
    found = read_scores(tmp_path)
    assert found["counted"] == sum(known) == sum(found[f"pixels.c{number}"] for number in range(5))
    assert found["counted_low"] < sum(known) < found["counted_high"]
    assert read_evaluation(tmp_path).images["counted"].to_pylist() == known


def test_figures_name_every_class(evaluation: Evaluation) -> None:
    found = figures(evaluation.counts.total())
    names = [f"{metric}.c{number}" for metric in CLASS_METRICS for number in range(5)]
    assert [name for name in found if "." in name] == names
