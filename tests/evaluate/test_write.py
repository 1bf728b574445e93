from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from roadseg.contracts.confusion import iou
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import Evaluation, read_scores
from roadseg.contracts.files import read_json
from roadseg.evaluate.scores import CLASS_METRICS, METRICS
from roadseg.evaluate.write import write_scores


@pytest.fixture
def written(tmp_path: Path, evaluation: Evaluation) -> Path:
    write_scores(tmp_path / "evaluation", tmp_path / "metrics.json", evaluation, resamples=100, seed=0)
    return tmp_path


def test_the_headline_is_a_part_of_the_scores_that_stays_short(written: Path) -> None:
    scores, headline = read_scores(written / "evaluation"), read_json(written / "metrics.json", "metrics", "")
    about = {"schema", "split", "images", "drives", "miou_low", "miou_high"}
    named = {name for name in scores if name in METRICS} | {f"iou.c{number}" for number in range(5)}
    assert headline.keys() == about | named
    assert headline.items() - {("schema", "roadseg/metrics/1")} <= scores.items()


def test_scores_that_are_not_there_say_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"scores\.json is missing: run `dvc repro evaluate`"):
        read_scores(tmp_path)


def test_the_table_of_classes_holds_every_figure_of_each_in_the_table_s_order(written: Path) -> None:
    scores, table = read_scores(written / "evaluation"), pd.read_csv(written / "evaluation/classes.csv")
    assert list(table["class"]) == [f"c{number}" for number in range(5)]
    assert set(table.columns) == {"class", *CLASS_METRICS, "iou_low", "iou_high"}
    for row in table.to_dict("records"):
        for key in table.columns.drop("class"):
            assert row[key] == scores[f"{key}.{row['class']}"], key


def test_a_class_that_is_absent_is_empty_and_not_zero(lacking: Path) -> None:
    last = (lacking / "classes.csv").read_text().splitlines()[-1]
    assert last.strip(",") == "c5"
    cells = pd.read_csv(lacking / "confusion.csv").query("truth == 'c5'")
    assert (cells["pixels"] == 0).all()
    assert (cells["share"] == 0).all()


def test_the_cells_of_the_confusion_are_the_matrix_and_sum_to_one_by_true_class(
    written: Path, evaluation: Evaluation
) -> None:
    cells = pd.read_csv(written / "evaluation/confusion.csv")
    matrix = evaluation.counts.total().confusion
    np.testing.assert_array_equal(cells["pixels"].to_numpy().reshape(5, 6), matrix)
    assert list(cells["predicted"][:6]) == ["c0", "c1", "c2", "c3", "c4", "void"]
    assert cells.groupby("truth")["share"].sum().to_numpy() == pytest.approx(1)
    cell = cells.set_index(["truth", "predicted"])["pixels"]
    union = cell.xs("c1").sum() + cell.xs("c1", level=1).sum() - cell["c1", "c1"]
    assert cell["c1", "c1"] / union == iou(matrix)[1]
