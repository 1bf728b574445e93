from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.framing import Framing
from roadseg.contracts.shards import INDEX, Shards, write_array, write_index
from roadseg.scoring.floor import mode_score

Make = Callable[..., Shards]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Shards of 2x2 masks by split, each mask a drive of its own; `road` is scored at the masks' own size."""

    def made(**masks: list[list[int]]) -> Shards:
        rows = []
        for split, drives in masks.items():
            for number, ids in enumerate(drives):
                mask = np.array(ids, np.uint8).reshape(1, 2, 2)
                write_array(tmp_path / split / f"{number}.mask.npy", mask)
                write_array(tmp_path / split / f"{number}.image.npy", np.zeros((1, 2, 2, 3), np.uint8))
                row = {"sample": f"{split}/{number}/0", "split": split, "drive": str(number), "row": 0}
                rows.append(row | {"source": [0, 0, 2, 2], "content": [0, 0, 2, 2]})
        write_index(tmp_path, Framing(2, 2), ClassTable.find("road"), {}, pa.Table.from_pylist(rows, INDEX))
        return Shards.open(tmp_path)

    return made


def test_the_most_frequent_class_of_each_pixel_is_the_prediction(make: Make) -> None:
    shards = make(train=[[0, 1, 0, 1], [0, 1, 1, 1], [1, 1, 0, 0]], val=[[0, 1, 1, 0]])
    assert mode_score(shards) == pytest.approx((1 / 3 + 1 / 3) / 2)  # the prediction is 0 1 0 1


def test_validation_masks_equal_to_the_mode_score_one(make: Make) -> None:
    assert mode_score(make(train=[[0, 1, 0, 1]], val=[[0, 1, 0, 1], [0, 1, 255, 1]])) == 1


def test_void_has_no_vote(make: Make) -> None:
    assert mode_score(make(train=[[1, 1, 1, 1], *[[255] * 4] * 3], val=[[1, 1, 1, 1]])) == 1


def test_validation_masks_have_no_vote(make: Make) -> None:
    assert mode_score(make(train=[[0, 0, 0, 0]], val=[[1, 1, 1, 1]] * 3)) == 0
