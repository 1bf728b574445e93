"""The page about a model, as a browser without a network shows it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from browser import Tab, assert_quiet, texts
from evaluated import SAMPLES, WRONG, evaluated_tree
from judged import HOSTILE

from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import Evaluation, read_evaluation, write_evaluation
from roadseg.contracts.manifest import read_manifest
from roadseg.evaluate.scores import METRICS
from roadseg.pages.examples import choose
from roadseg.pages.model_page import Other, render_model_page, write_model_page

SHOWN = "[...document.querySelectorAll('.shots li')].filter(each => !each.hidden)"


@pytest.fixture
def other(better: Path) -> Other:
    return Other("champion (version 3)", read_evaluation(better / "reports/evaluation"), better / "models/bundle")


@pytest.fixture
def page(browser: Tab, evaluated: Path, other: Other, tmp_path: Path) -> Tab:
    """The browser with the page that compares two models."""
    write_model_page(evaluated, tmp_path / "model.html", other)
    browser.open(tmp_path / "model.html")
    return browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_asks_for_nothing_outside_fits_and_complains_of_nothing(
    browser: Tab, evaluated: Path, other: Other, tmp_path: Path, width: int, scheme: str
) -> None:
    out = tmp_path / "model.html"
    write_model_page(evaluated, out, other)
    assert_quiet(browser, out, width, scheme)


def test_numbers_on_the_page_are_those_of_metrics_json(page: Tab, evaluated: Path, better: Path) -> None:
    scores = json.loads((evaluated / "metrics.json").read_text())
    assert texts(page, "#miou") == [f"{scores['miou']:.3f}"]
    figures = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('[data-figure]')].map(each => "
        "[each.dataset.figure, Number(each.querySelector('[data-value]').dataset.value)]))"
    )
    assert figures == {name: scores[name] for name in METRICS if name in scores}
    assert len(figures) > 8
    classes = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('[data-class]')].map(each => "
        "[each.dataset.class, Number(each.querySelector('[data-iou]').dataset.value)]))"
    )
    assert classes == {key.removeprefix("iou."): value for key, value in scores.items() if key.startswith("iou.")}
    assert list(classes.values()) == sorted(classes.values()), "the class in most need comes first"
    before = json.loads((better / "metrics.json").read_text())
    assert f"champion (version 3) has {before['miou']:.3f}" in texts(page, "#against")[0]
    changes = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('[data-class]')].map(each => "
        "[each.dataset.class, Number(each.cells[3].dataset.value)]))"
    )
    assert changes == pytest.approx({name: iou - before[f"iou.{name}"] for name, iou in classes.items()})


def test_a_heading_sorts_its_table_one_way_and_then_the_other(page: Tab) -> None:
    names = "[...document.querySelectorAll('#classes tbody tr')].map(each => each.dataset.class)"
    page.evaluate("document.querySelector('#classes thead button').click()")
    first = page.evaluate(names)
    page.evaluate("document.querySelector('#classes thead button').click()")
    assert first == sorted(first)
    assert page.evaluate(names) == first[::-1]
    page.evaluate("document.querySelectorAll('#classes thead button')[1].click()")
    ious = page.evaluate("[...document.querySelectorAll('[data-iou]')].map(each => Number(each.dataset.value))")
    assert ious == sorted(ious)


def test_the_image_that_lost_most_comes_first_and_each_group_shows_its_own(page: Tab) -> None:
    assert texts(page, "[aria-pressed=true]") == ["lost most"]
    samples = f"{SHOWN}.map(each => each.querySelector('bdi').textContent)"
    assert page.evaluate(samples) == [f"val/b/{HOSTILE}", "val/b/1"]
    for group, expected in {
        "gained": ["val/c/0", "val/a/0"],
        "worst": sorted(WRONG, key=WRONG.__getitem__)[::-1],
    }.items():
        page.evaluate(f"document.querySelector('[data-group={group}]').click()")
        assert page.evaluate(samples)[: len(expected)] == expected
    assert page.evaluate("[...document.images].slice(0, -1).every(each => each.alt)")


def test_an_image_opens_and_closes(page: Tab) -> None:
    page.evaluate("document.querySelector('.open').click()")
    assert page.evaluate("document.querySelector('#large').open")
    assert page.evaluate("document.querySelector('#large img').naturalWidth") == 64
    page.evaluate("document.querySelector('#large button').click()")
    assert not page.evaluate("document.querySelector('#large').open")


def test_names_are_text_whatever_they_hold(page: Tab) -> None:
    assert page.evaluate("document.querySelectorAll('[onerror]').length") == 0
    assert f"val/b/{HOSTILE}" in page.evaluate("[...document.querySelectorAll('bdi')].map(each => each.textContent)")


def test_a_model_evaluated_on_other_images_is_named_and_not_compared(evaluated: Path) -> None:
    fewer = read_evaluation(evaluated / "reports/evaluation")
    other = Other("champion (version 3)", Evaluation(fewer.images.slice(1), fewer.counts[1:]))
    html = render_model_page(evaluated, other, pictures=False)
    assert "champion (version 3) was evaluated on other images or classes, so nothing is compared" in html
    assert "lost most" not in html


def test_a_model_evaluated_on_other_files_of_the_same_names_is_not_compared(evaluated: Path, other: Other) -> None:
    known = read_manifest(evaluated / "data/manifest.parquet").digest("val")
    for digest, compared in ((known, True), ("0" * 64, False), (None, True)):
        html = render_model_page(evaluated, replace(other, val_manifest=digest), pictures=False)
        assert ("on the same images" in html) == compared
        assert ("so nothing is compared" in html) == (not compared)


def test_a_class_that_the_other_never_finds_counts_in_its_mean(tmp_path: Path, evaluated: Path) -> None:
    blind = evaluated_tree(tmp_path / "blind", dict.fromkeys(SAMPLES, 64))
    scores = json.loads((blind / "metrics.json").read_text())
    assert scores["iou.drivable"] == 0
    html = render_model_page(evaluated, Other("it", read_evaluation(blind / "reports/evaluation")), pictures=False)
    assert f"it has {scores['miou']:.3f} on the same images" in html


def test_the_champion_is_not_compared_with_itself(evaluated: Path, other: Other) -> None:
    stored = read_evaluation(evaluated / "reports/evaluation")
    html = render_model_page(
        evaluated, Other("champion (version 3)", stored, evaluated / "models/bundle"), pictures=False
    )
    assert "This is champion (version 3)." in html
    assert ">change<" not in html
    assert ">change<" in render_model_page(evaluated, other, pictures=False), "equal weights evaluated otherwise are"


def test_without_pictures_nothing_is_predicted(evaluated: Path) -> None:
    html = render_model_page(evaluated, pictures=False)
    assert "<img src" not in html
    assert "data:image" not in html


def test_an_evaluation_of_other_images_than_the_manifest_is_refused(tmp_path: Path, better: Path) -> None:
    tree = evaluated_tree(tmp_path / "tree")
    found = read_evaluation(tree / "reports/evaluation")
    write_evaluation(tree / "reports/evaluation", Evaluation(found.images.slice(1), found.counts[1:]))
    with pytest.raises(UsageError, match="is of other images than the manifest: run `dvc repro evaluate`"):
        render_model_page(tree)


def test_groups_hold_what_their_names_say(evaluated: Path, better: Path) -> None:
    one, other = (read_evaluation(tree / "reports/evaluation") for tree in (evaluated, better))
    names = one.images["sample"].to_pylist()
    groups = {group.key: [names[image] for image in group.images] for group in choose(one, other)}
    assert groups["worst"][0] == f"val/b/{HOSTILE}"
    assert groups["best"] == groups["worst"][::-1]
    assert set(groups["random"]) == set(names)
    assert set(groups["class-0"][:2]) == {f"val/b/{HOSTILE}", "val/b/1"}, "all its columns lie there"
    assert groups["class-0"][2] == "val/a/0"
