"""Fixtures of a small evaluation whose every count is known; evaluate's and scoring's conftest.py take them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.evaluation import Counts, Evaluation
from roadseg.evaluate.counting import count
from roadseg.evaluate.scores import evaluated
from roadseg.evaluate.write import write_scores


@pytest.fixture(scope="session")
def idd_level3() -> ClassTable:
    return ClassTable.find("idd-level3")


@pytest.fixture(scope="session")
def own_size() -> Callable[[int], ClassTable]:
    """A table of some classes without an official size, so that masks stay small."""

    def table(classes: int) -> ClassTable:
        entries = [{"id": number, "name": f"c{number}"} for number in range(classes)]
        return ClassTable.model_validate({"name": "small", "classes": entries})

    return table


@pytest.fixture(scope="session")
def masks() -> np.ndarray:
    """Truth and prediction of twelve images, uint8 (12, 2, 10, 16): five classes, the last in few, void in both."""
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 4, (12, 2, 10, 16), dtype=np.uint8)
    pairs[:, 1, :6] = pairs[:, 0, :6]
    pairs[:3, 0, :4, :4] = 4
    pairs[::2, 0, -1, :5] = 255
    pairs[1::3, 1, 0, :5] = 255
    return pairs


@pytest.fixture(scope="session")
def rows() -> list[dict[str, Any]]:
    """What a manifest knows of those twelve images, three to a drive."""
    return [
        {
            "sample": f"val/{number // 3}/{number}",
            "drive": f"d{number // 3}",
            "brightness": number / 20,
            "sharpness": None if number == 5 else 100.0 - number,
        }
        for number in range(12)
    ]


@pytest.fixture(scope="session")
def evaluation(masks: np.ndarray, rows: list[dict[str, Any]], own_size: Callable[[int], ClassTable]) -> Evaluation:
    """Of those twelve images."""
    table, sure = own_size(5), np.random.default_rng(1).random((10, 16)).astype(np.float32)
    return evaluated(rows, Counts.stack((count(*pair, table, sure) for pair in masks), table))


@pytest.fixture
def lacking(
    tmp_path: Path, masks: np.ndarray, rows: list[dict[str, Any]], own_size: Callable[[int], ClassTable]
) -> Path:
    """The folder of their scores by a table whose last class, c5, is in no mask, without confidences."""
    table = own_size(6)
    found = evaluated(rows, Counts.stack((count(*pair, table) for pair in masks), table))
    write_scores(tmp_path, tmp_path / "metrics.json", found, resamples=100, seed=0)
    return tmp_path
