"""CONTRIBUTING.md is followed to the letter, in a copy of the code: its examples are what is tested."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from trees import ROOT, command_environment

RECIPES = (ROOT / "CONTRIBUTING.md").read_text()
STEP = re.compile(r"^ *```\w+\n *# (?P<file>\S+), above: (?P<anchor>.+)\n(?P<lines>(?:.*\n)+?) *```$", re.MULTILINE)
SCORE = """
import numpy as np
from pathlib import Path
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.evaluation import Counts
from roadseg.evaluate.counting import count
from roadseg.evaluate.scores import evaluated
from roadseg.evaluate.write import write_scores

entries = [{"id": number, "name": name} for number, name in enumerate(("road", "other"))]
table = ClassTable.model_validate({"name": "small", "classes": entries})
truth, guess = np.zeros((4, 8), np.uint8), np.zeros((4, 8), np.uint8)
guess[:, :2] = 1
rows = [{"sample": f"val/{drive}/0", "drive": drive} for drive in "ab"]
scored = evaluated(rows, Counts.stack([count(truth, guess, table)] * 2, table))
write_scores(Path("reports/evaluation"), Path("metrics.json"), scored, resamples=100, seed=0)
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the recipes touch, in a tree of its own."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def steps(heading: str) -> list[re.Match[str]]:
    """The examples under a heading."""
    found = list(STEP.finditer(RECIPES.split(f"## {heading}\n")[1].split("\n## ")[0]))
    assert found, f"CONTRIBUTING.md shows no example under {heading}"
    return found


def follow(step: re.Match[str], tree: Path) -> None:
    """Write an example's lines above the line that it names."""
    path = tree / step["file"]
    lines = path.read_text().splitlines(keepends=True)
    [place] = [number for number, line in enumerate(lines) if line.strip().startswith(step["anchor"])]
    outer = re.search(r"^ *(?=#)", step[0], re.MULTILINE)
    assert outer
    added = [line.removeprefix(outer[0]) for line in step["lines"].splitlines(keepends=True)]
    path.write_text("".join([*lines[:place], *added, *lines[place:]]))


def python(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = command_environment(tree, COLUMNS="200")
    return subprocess.run([sys.executable, *arguments], cwd=tree, env=env, capture_output=True, text=True)


def test_a_parameter_is_asked_for_until_it_has_a_value_and_is_then_explained(copy: Path) -> None:
    declared, valued = steps("Add a parameter")
    follow(declared, copy)
    refused = python(copy, "-m", "roadseg", "params")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: params.yaml: evaluate.tolerance: missing: how far apart two boundaries")
    follow(valued, copy)
    explained = python(copy, "-m", "roadseg", "params")
    assert explained.returncode == 0, explained.stderr
    assert re.search(r"evaluate\.tolerance .* 0\.0075 .* how far apart two boundaries", explained.stdout)


def test_a_value_that_no_stage_declares_is_refused_by_its_key(copy: Path) -> None:
    _, valued = steps("Add a parameter")
    follow(valued, copy)
    refused = python(copy, "-m", "roadseg", "params")
    assert refused.returncode == 2
    assert "params.yaml: evaluate.tolerance: unknown key" in refused.stderr


def test_a_metric_is_one_entry_and_stands_in_the_headline_with_its_interval_in_the_scores(copy: Path) -> None:
    [entry] = steps("Add a metric")
    follow(entry, copy)
    done = python(copy, "-c", SCORE)
    assert done.returncode == 0, done.stderr
    assert json.loads((copy / "metrics.json").read_text())["pixel_error"] == pytest.approx(0.25)
    scores = json.loads((copy / "reports/evaluation/scores.json").read_text())
    assert scores["pixel_error_low"] <= 0.25 <= scores["pixel_error_high"]


def test_the_files_that_recipes_name_are_there() -> None:
    named = re.findall(r"`((?:src|tests|flows|docs)/[\w./]+\.\w+)`", RECIPES)
    missing = [name for name in named if "NAME" not in name and not (ROOT / name).exists()]
    assert not missing, f"CONTRIBUTING.md names {', '.join(missing)}: say where that is now"
    assert len(named) > 20
