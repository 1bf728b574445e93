import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from roadseg.cli.app import app
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.evaluate.scores import CLASS_METRICS, METRICS


def score(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["score", *map(str, arguments)])


def scored(*arguments: object) -> dict[str, Any]:
    """The one JSON object that is printed, and nothing else."""
    result = score(*arguments, "--json")
    assert result.exit_code == 0, result.output
    (line,) = result.output.splitlines()
    found = json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert set(found) >= {"miou", "iou", "pixel_accuracy", "images", "classes", "miou_low", *CLASS_METRICS}
    return found


def save(path: Path, ids: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ids.astype(np.uint8)).save(path)


def official(labels: list[np.ndarray], guesses: list[np.ndarray], classes: int, size: tuple[int, int]) -> list[float]:
    """IoU by class from its definition: intersection and union of pixels, void truth left out; NaN where absent."""
    truth, guess = (
        np.stack([np.asarray(Image.fromarray(one).resize(size, Image.Resampling.NEAREST)) for one in masks])
        for masks in (labels, guesses)
    )
    counted = truth < classes
    values = []
    for label in range(classes):
        is_true, is_guessed = counted & (truth == label), counted & (guess == label)
        union = (is_true | is_guessed).sum()
        values.append((is_true & is_guessed).sum() / union if union else np.nan)
    return values


@pytest.fixture
def labels(scenes: Path) -> Path:
    return scenes / "gtFine" / "val"


@pytest.fixture
def guesses(tmp_path: Path, labels: Path) -> Path:
    """A prediction for each label: its mask shifted, at another size, with some void, flat in one folder."""
    for path in labels.glob("*/*_label.png"):
        mask = np.roll(np.asarray(Image.open(path)), 9, axis=1)[::2, ::3].copy()
        mask[:5] = 255
        save(tmp_path / "guesses" / path.name.replace("_label", "_image"), mask)
    return tmp_path / "guesses"


@pytest.mark.parametrize(
    ("table", "size"), [("idd-level1", (256, 128)), ("idd-level2", (1280, 720)), ("idd-level3", (1280, 720))]
)
def test_the_score_is_the_official_one_at_the_tables_size(
    labels: Path, guesses: Path, table: str, size: tuple[int, int]
) -> None:
    found = scored(guesses, labels, "--classes", table)
    names = [path.name for path in sorted(labels.glob("*/*_label.png"))]
    masks = [np.array(Image.open(path)) for path in sorted(labels.glob("*/*_label.png"))]
    answers = [np.array(Image.open(guesses / name.replace("_label", "_image"))) for name in names]
    classes = ClassTable.find(table)
    expected = official(masks, answers, classes.count, size)
    by_class = {name: None if np.isnan(value) else value for name, value in zip(classes.names, expected, strict=True)}
    assert found["iou"] == pytest.approx(by_class, abs=1e-12)
    assert found["miou"] == pytest.approx(np.nanmean(expected), abs=1e-12)
    assert 0 < found["pixel_accuracy"] < 1
    assert (found["images"], found["classes"]) == (8, table)


@pytest.mark.parametrize("arguments", [[], ["--classes", "road"]])
def test_a_perfect_prediction_scores_one(tmp_path: Path, arguments: list[str]) -> None:
    ids = np.random.default_rng(0).integers(0, 2, (40, 60))
    ids[0, 0] = 255
    save(tmp_path / "labels/1/7_label.png", ids)
    save(tmp_path / "guesses/1/7.png", np.where(ids == 255, 1 if arguments else 0, ids))  # 255 is the road
    found = scored(tmp_path / "guesses", tmp_path / "labels", *arguments)
    assert (found["miou"], found["pixel_accuracy"], found["images"]) == (1, 1, 1)
    assert {value for value in found["iou"].values() if value is not None} == {1}


def test_where_nothing_can_be_scored_the_figures_are_null(tmp_path: Path) -> None:
    for folder in ("guesses", "labels"):
        save(tmp_path / folder / "7.png", np.full((4, 4), 255))
    found = scored(tmp_path / "guesses", tmp_path / "labels")
    assert (found["miou"], found["pixel_accuracy"], set(found["iou"].values())) == (None, None, {None})


def test_people_read_a_table_of_all_classes_and_their_mean(labels: Path, guesses: Path) -> None:
    result, found = score(guesses, labels), scored(guesses, labels)
    assert result.exit_code == 0
    assert "8 images, idd-level1" in result.output
    for name, value in found["iou"].items():
        assert re.search(rf"{name} .* {value:.3f} ", result.output)
    assert re.search(rf"mean .* {found['miou']:.4f} ", result.output)
    for name in METRICS.keys() & found.keys() - {"ece"}:
        interval = rf"{found[f'{name}_low']:.3f} to {found[f'{name}_high']:.3f}"
        assert re.search(rf"{name} .* {found[name]:.4f} .* {interval} ", result.output), name


def test_a_missing_partner_is_refused_by_name(labels: Path, guesses: Path) -> None:
    gone = min(guesses.iterdir())
    gone.unlink()
    error = score(guesses, labels).exception
    assert isinstance(error, DataRefused)
    assert gone.name.replace("_image", "_label") in str(error)


def test_an_unknown_table_lists_those_there_are(labels: Path, guesses: Path) -> None:
    error = score(guesses, labels, "--classes", "idd").exception
    assert isinstance(error, UsageError)
    assert "idd-level1, idd-level2, idd-level3, road" in str(error)


@pytest.mark.parametrize(
    ("truth", "code", "said"),
    [("ambiguous", 3, "7_label.png: 2 predictions in guesses"), ("empty", 2, "empty holds no .png masks")],
)
def test_the_command_says_in_one_line_what_is_wrong_and_exits_so(
    tmp_path: Path, truth: str, code: int, said: str
) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("guesses/a/7.png", "guesses/b/7.png", "ambiguous/7_label.png"):
        save(tmp_path / name, np.zeros((4, 4)))
    done = subprocess.run(
        [sys.executable, "-m", "roadseg", "score", "guesses", truth], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_page_shows_any_tools_predictions_and_those_compared_with(
    tmp_path: Path, labels: Path, guesses: Path
) -> None:
    right = tmp_path / "right"
    for path in labels.glob("*/*_label.png"):
        save(right / path.name, np.asarray(Image.open(path)))
    found = scored(guesses, labels, "--report", tmp_path / "page.html", "--against", right)
    page = (tmp_path / "page.html").read_text()
    assert f'<span id="miou">{found["miou"]:.3f}</span>' in page
    assert f"{right} has 1.000 on the same images" in page
    assert "lost most" in page
    assert "gained most" not in page
    shown = page.count("<figure><button")
    assert shown == 3 * page.count("data-places="), "truth, prediction and mistakes of each"
    assert "Fingerprint" not in page
