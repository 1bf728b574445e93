import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from roadseg.cli.app import app
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import Counts, write_evaluation
from roadseg.evaluate.counting import count
from roadseg.evaluate.scores import evaluated


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine images of three drives, the second of which the model gets wrong; nothing else is there to predict from."""
    rng, table = np.random.default_rng(0), ClassTable.find("road")
    masks = rng.integers(0, 2, (9, 2, 8, 12), dtype=np.uint8)
    masks[:, 1, 2:] = masks[:, 0, 2:]
    masks[3:6, 1] = 1 - masks[3:6, 0]
    rows = [{"sample": f"val/{n // 3}/{n}", "drive": f"drive {n // 3}", "brightness": n % 3 / 10} for n in range(9)]
    evaluation = evaluated(rows, Counts.stack((count(*pair, table) for pair in masks), table))
    write_evaluation(tmp_path / "reports/evaluation", evaluation)
    monkeypatch.chdir(tmp_path)


def sliced(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["slice", *arguments], env={"COLUMNS": "200"})


def found(*arguments: str) -> list[dict[str, Any]]:
    result = sliced(*arguments, "--json")
    assert result.exit_code == 0, result.output
    listed = json.loads(result.output, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert isinstance(listed, list)
    return listed


@pytest.mark.usefixtures("stored")
def test_drives_come_with_their_support_the_worst_first() -> None:
    drives = found("drive")
    assert [(part["images"], part["drives"]) for part in drives] == [(3, 1)] * 3
    assert drives[0]["name"] == "drive 1"
    assert drives[0]["miou"] == 0
    result = sliced("drive")
    assert re.search(r"drive 1 .* 3 .* 1 .* 0\.000 .* \+0\.\d{3} ", result.output)


@pytest.mark.usefixtures("stored")
def test_without_a_word_the_worst_of_all_kinds_are_shown() -> None:
    first, *others = found()
    assert (first["by"], first["name"]) == ("drive", "drive 1")
    assert {part["by"] for part in others} > {"brightness", "class"}
    assert len(found("--worst", "2")) == 2
    assert {part["images"] for part in found("--least", "9")} == {9}
    assert "drive 1" in sliced().output


@pytest.mark.usefixtures("stored")
def test_parts_are_as_many_as_asked_for() -> None:
    assert len(found("brightness", "--parts", "3")) == 3
    assert len(found("brightness", "--parts", "2")) == 2


def test_before_an_evaluation_it_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    error = sliced("drive").exception
    assert isinstance(error, UsageError)
    assert "dvc repro evaluate" in str(error)
