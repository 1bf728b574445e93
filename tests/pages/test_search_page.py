import re
from pathlib import Path
from typing import Any

import pytest

from roadseg.contracts.errors import UsageError
from roadseg.pages.search_page import MIOU, axes, experiments, write_search_page

FAILED = {"error": {"type": "FileNotFoundError", "msg": "no such file"}}


def experiment(name: str, miou: float | None, **train: Any) -> dict[str, Any]:
    """As `dvc exp show --json` has it; without a score it waits, runs or failed."""
    monitored = FAILED if miou is None else {"data": {"miou": miou, "schema": "roadseg/monitored/1"}}
    params = {"params.yaml": {"data": {"scan": {"seed": 0}, "train": {"model": "small", **train}}}}
    metrics = {"reports/monitored.json": monitored, "metrics.json": {"data": {"miou": 0.9}}}
    return {"name": name, "revs": [{"data": {"params": params, "metrics": metrics}}]}


def shown(*found: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"rev": "workspace", "experiments": None}, {"rev": "main", "experiments": list(found)}]


SEARCH = shown(
    experiment("slow", 0.4, learning_rate=1e-3, balance=0.25, loss="dice"),
    experiment("best", 0.6, learning_rate=1e-2, balance=0.5, loss="dice"),
    experiment("wild", 0.5, learning_rate=1e-1, balance=0.25, loss="lovasz"),
    experiment("waits", None, learning_rate=5.0, balance=0.25, loss="dice"),
    {"name": "failed", "revs": [{"rev": "1d6fb6a", "error": {"msg": "not readable"}}]},
)


def test_experiments_come_best_first_with_the_parameters_in_which_they_differ() -> None:
    frame = experiments(SEARCH)
    assert frame["name"].tolist() == ["best", "wild", "slow"]
    assert frame[MIOU].tolist() == [0.6, 0.5, 0.4]
    assert list(frame.columns) == ["name", MIOU, "train.learning_rate", "train.balance", "train.loss"]


def test_the_score_is_the_monitored_one_never_that_of_val() -> None:
    with pytest.raises(UsageError, match="no experiment of this commit has been trained: queue some with `dvc exp run"):
        experiments(shown(experiment("val alone", None)))
    with pytest.raises(UsageError, match="no experiment"):
        experiments([{"rev": "workspace"}, {"rev": "main", "experiments": None}])


def test_a_line_runs_through_the_parameters_to_the_score() -> None:
    found = {axis["name"]: axis for axis in axes(experiments(SEARCH))}
    assert list(found)[-1] == MIOU
    assert found[MIOU]["places"] == pytest.approx([1, 0.5, 0])
    assert found["train.learning_rate"]["places"] == pytest.approx([0.5, 1, 0])  # logarithmic: a span of 100
    assert found["train.balance"]["places"] == [1, 0, 0]
    assert found["train.loss"] == {"name": "train.loss", "low": "dice", "high": "lovasz", "places": [0, 1, 0]}


def test_one_experiment_alone_is_in_the_middle() -> None:
    assert [axis["places"] for axis in axes(experiments(shown(experiment("alone", 0.5))))] == [[0.5]]


def test_the_page_has_a_line_and_a_row_for_each_and_loads_nothing(tmp_path: Path) -> None:
    write_search_page(tmp_path / "search.html", experiments(SEARCH))
    text = (tmp_path / "search.html").read_text()
    assert re.findall("<title>(.*?): ([0-9.]+)</title></polyline>", text) == [
        ("slow", "0.400"),
        ("wild", "0.500"),
        ("best", "0.600"),
    ]
    assert text.count('class="best"') == 1
    assert text.count("<tr>") == 1 + 3
    assert not re.search("(src|href)=.(http|//)", text)
