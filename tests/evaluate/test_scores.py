import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.confusion import confusion, iou, mean_iou, pixel_accuracy
from roadseg.evaluate import scores
from roadseg.evaluate.scores import at_size, figures, official_size, write_scores


@pytest.fixture
def matrices() -> np.ndarray:
    """Three images; the last class is in none."""
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 6, (3, 2, 20, 30), dtype=np.uint8)
    pairs[:, 1, :9] = pairs[:, 0, :9]
    pairs[0, 1, -1] = 255
    return np.stack([confusion(*pair, classes=7) for pair in pairs])


ROWS = [{"sample": f"val/{drive}/{name}", "drive": drive, "other": 1} for drive, name in ("a1", "a2", "b1")]


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


def test_every_scalar_can_be_computed_again_from_the_matrices(
    tmp_path: Path, matrices: np.ndarray, idd_level1: ClassTable
) -> None:
    write_scores(tmp_path / "evaluation", tmp_path / "metrics.json", ROWS, matrices, idd_level1)
    stored = np.load(tmp_path / "evaluation/confusion.npy")
    assert (stored.shape, stored.dtype) == ((3, 7, 8), np.uint32)
    np.testing.assert_array_equal(stored, matrices)
    total = stored.sum(0)
    expected = {"schema": "roadseg/metrics/1", "split": "val", "images": len(stored)}
    expected |= {"miou": mean_iou(total), "pixel_accuracy": pixel_accuracy(total)}
    by_class = zip(idd_level1.names, iou(total).tolist(), strict=True)
    expected |= {f"iou.{name}": None if np.isnan(value) else value for name, value in by_class}
    assert json.loads((tmp_path / "metrics.json").read_text()) == expected
    assert expected["iou.sky"] is None


def test_per_image_figures_stand_in_the_order_of_the_matrices(
    tmp_path: Path, matrices: np.ndarray, idd_level1: ClassTable
) -> None:
    write_scores(tmp_path / "evaluation", tmp_path / "metrics.json", ROWS, matrices, idd_level1)
    images = pq.read_table(tmp_path / "evaluation/images.parquet").to_pylist()
    assert [(row["sample"], row["drive"]) for row in images] == [(row["sample"], row["drive"]) for row in ROWS]
    assert [row["miou"] for row in images] == [mean_iou(matrix) for matrix in matrices]
    assert [row["iou.vehicles"] for row in images] == [iou(matrix)[3] for matrix in matrices]


def test_equal_matrices_give_equal_bytes(tmp_path: Path, matrices: np.ndarray, idd_level1: ClassTable) -> None:
    for name in ("one", "two"):
        write_scores(tmp_path / name, tmp_path / name / "metrics.json", ROWS, matrices, idd_level1)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_rows_and_matrices_of_different_number_are_refused(
    tmp_path: Path, matrices: np.ndarray, idd_level1: ClassTable
) -> None:
    with pytest.raises(ValueError, match="shorter"):
        write_scores(tmp_path, tmp_path / "metrics.json", ROWS, matrices[:2], idd_level1)
    assert not (tmp_path / "metrics.json").exists()


def test_one_entry_adds_a_metric_to_every_file(
    tmp_path: Path, matrices: np.ndarray, idd_level1: ClassTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(scores.METRICS, "counted", lambda matrix: float(matrix.sum()))
    write_scores(tmp_path, tmp_path / "metrics.json", ROWS, matrices, idd_level1)
    assert json.loads((tmp_path / "metrics.json").read_text())["counted"] == 1800
    assert pq.read_table(tmp_path / "images.parquet")["counted"].to_pylist() == [600, 600, 600]


def test_figures_name_every_class(matrices: np.ndarray, idd_level1: ClassTable) -> None:
    found = figures(matrices.sum(0), idd_level1.names)
    assert list(found) == ["miou", "pixel_accuracy", *(f"iou.{name}" for name in idd_level1.names)]
