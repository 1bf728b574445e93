"""The page about a model, as a browser without a network shows it."""

import json
from pathlib import Path

import pytest
from browser import Tab, texts
from evaluated import WRONG, evaluated_tree
from judged import HOSTILE

from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import Evaluation, read_evaluation, write_evaluation
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
    browser.requests.clear()
    browser.complaints.clear()
    browser.look(width, scheme)
    browser.open(out)
    assert browser.evaluate("document.fonts.ready.then(() => document.documentElement.scrollWidth)") <= width
    assert [each for each in browser.requests if not each.startswith("data:")] == [out.as_uri()]
    assert browser.complaints == []


def test_numbers_on_the_page_are_those_of_metrics_json(page: Tab, evaluated: Path) -> None:
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
    assert f"champion (version 3) has {_miou(other_of(page)):.3f}" in texts(page, "#against")[0]


def other_of(page: Tab) -> list[float]:
    """IoUs of the model compared with, from this one's and the changes."""
    cells = "[...document.querySelectorAll('[data-class]')].map(each => Number(each.cells[1].dataset.value) - "
    found: list[float] = page.evaluate(cells + "Number(each.cells[3].dataset.value))")
    return found


def _miou(values: list[float]) -> float:
    return sum(values) / len(values)


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
