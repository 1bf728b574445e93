"""The page about a decision, as a browser without a network shows it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Tab, assert_quiet, texts
from judged import HOSTILE
from rivals import losing, models, policy

from roadseg.contracts.evaluation import read_evaluation
from roadseg.gate.decide import decide
from roadseg.gate.decision import Decision, LeftOut
from roadseg.gate.evidence import Evidence
from roadseg.gate.shadow import Shadow
from roadseg.pages import decision_page
from roadseg.pages.decision_figures import axis
from roadseg.pages.decision_page import render_decision_page, write_decision_page
from roadseg.pages.decision_pictures import RIGHT, Model, changed
from roadseg.pages.draw import WRONG
from roadseg.pages.thumbnails import Thumbnail

NOWHERE = Path("/nowhere")
SHOWN = "[...document.querySelectorAll('.shots li')].filter(each => !each.hidden)"
PICTURES = ["image", "truth", "champion, version 6", "candidate, version 7", "changed"]


def costing(model: Evidence) -> Evidence:
    return replace(model, size=100, seconds=0.1, key=f"{model.version}" * 64)


def decided(added: float, lost: float = 0.0) -> tuple[Decision, Model, Model]:
    """A decision on a candidate better by about a sixth of `added`, which forgets some of each image; one leak."""
    candidate, champion = map(costing, models(added))
    candidate = losing(candidate, slice(None), lost)
    assert candidate.evaluation
    assert champion.evaluation
    first = candidate.evaluation.drives[0]
    leak = LeftOut(first, candidate.evaluation.drives.count(first), "1 image is <b>train/x/1</b> of version 2")
    decision = decide(candidate, champion, policy(), left_out=(leak,))
    return decision, Model(candidate.evaluation), Model(champion.evaluation)


def shown(browser: Tab, folder: Path, *judged: Decision | Model) -> Tab:
    write_decision_page(NOWHERE, folder / "decision.html", *judged)  # type: ignore[arg-type]
    browser.open(folder / "decision.html")
    return browser


@pytest.fixture(scope="session")
def drawn(evaluated: Path, better: Path) -> tuple[Decision, Model, Model]:
    """A decision on six images of a tree, two of which got worse and two better."""
    found = [read_evaluation(tree / "reports/evaluation") for tree in (better, evaluated)]
    candidate, champion = (Evidence(7 - place, each) for place, each in enumerate(found))
    decision = decide(candidate, champion, policy(drives=2, regression_drop=0.01))
    bundle = evaluated / "models/bundle"
    return decision, Model(found[0], bundle), Model(found[1], bundle)


@pytest.fixture
def page(browser: Tab, evaluated: Path, drawn: tuple[Decision, Model, Model], tmp_path: Path) -> Tab:
    """The browser with the page that shows images."""
    write_decision_page(evaluated, tmp_path / "decision.html", *drawn)
    browser.open(tmp_path / "decision.html")
    return browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_asks_for_nothing_outside_fits_and_complains_of_nothing(
    browser: Tab, evaluated: Path, drawn: tuple[Decision, Model, Model], tmp_path: Path, width: int, scheme: str
) -> None:
    out = tmp_path / "decision.html"
    write_decision_page(evaluated, out, *drawn)
    assert_quiet(browser, out, width, scheme)
    write_decision_page(NOWHERE, out, *decided(-0.3, lost=0.2))
    assert_quiet(browser, out, width, scheme)


@pytest.mark.parametrize(
    ("added", "lost", "outcome", "tone", "reason"),
    [
        (0.3, 0.0, "PROMOTE", "accepted", "better: mIoU"),
        (0.0, 0.0, "HOLD", "held", "the data cannot tell"),
        (0.0, 0.2, "REJECT", "refused", "surely worse by more than promote.loss"),
    ],
)
def test_outcome_and_reasons_come_first(
    browser: Tab, tmp_path: Path, added: float, lost: float, outcome: str, tone: str, reason: str
) -> None:
    decision, *answered = decided(added, lost)
    page = shown(browser, tmp_path, decision, *answered)
    assert decision.outcome == outcome
    assert texts(page, f"header.{tone} #outcome") == [outcome]
    assert texts(page, "header .reasons li") == [" ".join(each.split()) for each in decision.reasons]
    assert texts(page, "header .reasons li")[0].startswith(reason)
    assert "version 2 against champion 1" in texts(page, "h1")[0]


def test_figures_are_those_of_the_decision(browser: Tab, tmp_path: Path) -> None:
    decision, candidate, champion = decided(0.0)
    page = shown(browser, tmp_path, decision, candidate, champion)
    assert decision.champion
    assert decision.difference
    assert texts(page, "#candidate") == [f"{decision.candidate.miou:.4f}"]
    assert texts(page, "#champion") == [f"{decision.champion.miou:.4f}"]
    assert texts(page, "#difference") == [f"{decision.difference.value:+.4f}".replace("-", "\N{MINUS SIGN}")]
    columns = page.evaluate(
        "[...document.querySelectorAll('[data-class]')].map(each => "
        "[...each.cells].slice(1).map(cell => Number(cell.dataset.value)))"
    )
    change, before, after = np.transpose(columns)
    assert change == pytest.approx(after - before)
    assert list(change) == sorted(change)
    means = (before.mean(), after.mean())
    assert means == pytest.approx((decision.champion.miou, decision.candidate.miou)), "without what was left out"
    text = page.evaluate("document.body.innerText")
    for said in (
        candidate.evaluation.weights,
        "1" * 64,
        "2" * 64,
        decision.left_out[0].drive,
        "<b>train/x/1</b>",
        "slice_drop",
    ):
        assert str(said) in text


def test_every_rule_is_there_what_is_broken_first_and_slices_by_themselves(browser: Tab, tmp_path: Path) -> None:
    decision, *answered = decided(0.0, lost=0.2)
    page = shown(browser, tmp_path, decision, *answered)
    rules = [rule for rule in decision.rules if rule.key != "promote.slice_drop"]
    slices = {rule.about: rule for rule in decision.rules if rule.key == "promote.slice_drop"}
    keys = page.evaluate("[...document.querySelectorAll('[data-rule]')].map(each => each.dataset.rule)")
    assert sorted(keys) == sorted(rule.key for rule in rules)
    results = texts(page, "[data-rule] .badge")
    assert results == ["broken"] * results.count("broken") + ["held"] * results.count("held")
    assert results.count("broken") == sum(not rule.held for rule in rules) > 0
    broken = sum(not rule.held for rule in slices.values())
    assert texts(page, "#slice-rules")[0].startswith(f"{broken} of {len(slices)} slices do not hold")
    names = page.evaluate("[...document.querySelectorAll('[data-slice]')].map(each => each.dataset.slice)")
    assert sorted(names) == sorted(slices)
    changes = page.evaluate(
        "[...document.querySelectorAll('[data-slice]')].map(each => "
        "[...each.cells].slice(1).map(cell => Number(cell.dataset.value)))"
    )
    for name, (change, before, after) in zip(names, changes, strict=True):
        assert after - before == pytest.approx(change) == pytest.approx(-slices[name].figure)


@pytest.mark.parametrize("added", [0.3, 0.0, -0.3])
def test_the_picture_of_the_difference_has_everything_in_its_place(added: float) -> None:
    decision, *_ = decided(added)
    found, places = decision.difference, axis(decision)
    assert found
    assert places
    values = np.array([found.low, found.value, found.high, 0.0, 0.003, -0.003])
    drawn = np.array([places.low, places.value, places.high, places.zero, places.gain, places.loss])
    scale = (places.gain - places.loss) / 0.006
    np.testing.assert_allclose(drawn, places.zero + scale * values)
    assert drawn.min() > 10
    assert drawn.max() < 90


def test_a_first_model_has_no_difference_and_no_champion(browser: Tab, tmp_path: Path) -> None:
    candidate = costing(models()[0])
    decision = decide(candidate, None, policy())
    assert candidate.evaluation
    page = shown(browser, tmp_path, decision, Model(candidate.evaluation))
    assert texts(page, "#outcome") == ["PROMOTE"]
    assert texts(page, "h1") == ["PROMOTE version 2"]
    assert texts(page, "#interval, #images, #slices, #champion") == []
    assert len(texts(page, "[data-class]")) == 7
    assert texts(page, "[data-rule] code") == ["miou_min"]
    assert texts(page, "#left-out p") == ["Nothing was left out."]


def test_without_counts_what_fell_is_listed_and_the_page_says_how_to_get_more(browser: Tab, tmp_path: Path) -> None:
    candidate, champion = map(costing, models(0.0))
    decision = decide(losing(candidate, slice(0, 8), 0.6), champion, policy())
    assert len(decision.regressions) == 8
    page = shown(browser, tmp_path, decision)
    assert "The counts of both models are not at hand" in texts(page, "#classes p")[0]
    assert "roadseg report decision" in texts(page, "#images p")[0]
    assert texts(page, "#images > .scroll bdi") == [each.sample for each in decision.regressions[:6]]
    assert texts(page, "#images summary") == [f"All 8 that fell by more than {policy().regression_drop:.2f}"]
    assert len(texts(page, "#images details bdi")) == 8


def test_a_decision_on_nothing_says_why_and_no_more(browser: Tab, tmp_path: Path) -> None:
    decision = decide(Evidence(2, None, missing=("its bundle is out of reach: `dvc pull`",)), None, policy())
    page = shown(browser, tmp_path, decision)
    assert texts(page, "header.held .reasons li") == ["its bundle is out of reach: `dvc pull`"]
    assert texts(page, "#rules, #classes, #slices, #interval, #images") == []
    assert len(texts(page, "[data-policy]")) == len(decision.policy or {})


def test_images_that_lost_and_gained_most_stand_side_by_side(page: Tab) -> None:
    samples = f"{SHOWN}.map(each => each.querySelector('bdi').textContent)"
    assert texts(page, "[aria-pressed=true]") == ["lost most"]
    assert page.evaluate(samples) == ["val/c/0", "val/a/0"]
    page.evaluate("document.querySelector('[data-group=gained]').click()")
    assert page.evaluate(samples) == [f"val/b/{HOSTILE}", "val/b/1"]
    captions = page.evaluate(f"[...{SHOWN}[0].querySelectorAll('figcaption')].map(each => each.textContent)")
    assert captions == PICTURES
    widths = f"[...{SHOWN}[0].querySelectorAll('img')].map(each => (each.loading = 'eager', each.decode()))"
    page.evaluate(f"Promise.all({widths}).then(() => 0)")
    assert page.evaluate(f"[...{SHOWN}[0].querySelectorAll('img')].every(each => each.naturalWidth === 64)")
    page.evaluate("document.querySelector('.shots .open').click()")
    assert page.evaluate("document.querySelector('#large').open")


def test_each_model_predicts_under_its_own_name(
    evaluated: Path, drawn: tuple[Decision, Model, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Model] = {}

    def remember(rows: list[Any], _: Path, named: dict[str, Model]) -> Iterator[dict[str, Thumbnail]]:
        asked.update(named)
        return iter([{"image": Thumbnail("data:,")} for _ in rows])

    monkeypatch.setattr(decision_page, "predicted_by_both", remember)
    decision, candidate, champion = drawn
    render_decision_page(evaluated, decision, candidate, champion)
    assert list(asked) == PICTURES[2:4]
    assert asked["candidate, version 7"] is candidate
    assert asked["champion, version 6"] is champion


def test_names_are_text_whatever_they_hold(page: Tab) -> None:
    assert page.evaluate("document.querySelectorAll('[onerror]').length") == 0
    assert f"val/b/{HOSTILE}" in page.evaluate("[...document.querySelectorAll('bdi')].map(each => each.textContent)")


def test_a_hostile_decision_is_text_too(browser: Tab, tmp_path: Path) -> None:
    decision, *_ = decided(0.0)
    worst = replace(
        decision,
        reasons=(HOSTILE,),
        drives=(HOSTILE,),
        left_out=(LeftOut(HOSTILE, 1, HOSTILE),),
        rules=tuple(replace(rule, about=HOSTILE, sentence=HOSTILE) for rule in decision.rules),
        candidate=replace(decision.candidate, weights=HOSTILE, key=HOSTILE),
    )
    page = shown(browser, tmp_path, worst)
    assert page.evaluate("document.querySelectorAll('[onerror]').length") == 0
    assert texts(page, ".reasons li") == [" ".join(HOSTILE.split())]


@pytest.mark.parametrize("tree", ["evaluated", "nowhere"])
def test_no_picture_is_made_where_none_is_asked_for_or_the_images_are_others(
    evaluated: Path, drawn: tuple[Decision, Model, Model], tree: str
) -> None:
    html = render_decision_page(evaluated if tree == "evaluated" else NOWHERE, *drawn, pictures=tree != "evaluated")
    said = "the page was made without them" if tree == "evaluated" else "this tree has other val images"
    assert said in html
    assert "<img src" not in html
    assert "val/c/0" in html, "the list stands for them"


def test_the_page_is_one_file_that_names_no_address(evaluated: Path, drawn: tuple[Decision, Model, Model]) -> None:
    html = render_decision_page(evaluated, *drawn)
    assert html.count("data:image/webp") == 4 * len(PICTURES)
    plain = re.sub('data:image/webp[^"]*', "", html).replace("http:evil.example", "")
    assert "http" not in plain.replace("http-equiv", "")
    assert not re.search('(src|href)="(?!#|data:|")', plain)


def test_an_image_that_cannot_be_read_leaves_a_list_and_its_name(
    tmp_path: Path, evaluated: Path, drawn: tuple[Decision, Model, Model]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/manifest.parquet").write_bytes((evaluated / "data/manifest.parquet").read_bytes())
    html = render_decision_page(tmp_path, *drawn)
    for told in ("an image cannot be read", "data/raw/", "val/c/0"):
        assert told in html


def test_what_changed_is_red_where_it_became_wrong_and_blue_where_it_became_right() -> None:
    image = np.full((1, 5, 3), 100, np.uint8)
    truth = np.array([[0, 0, 0, 0, 255]], np.uint8)
    before, after = np.array([[0, 0, 1, 1, 0]], np.uint8), np.array([[0, 1, 0, 2, 1]], np.uint8)
    grey, *_ = found = changed(image, truth, before, after)[0].tolist()
    assert found == [grey, WRONG.tolist(), RIGHT.tolist(), grey, grey]
    assert len(set(grey)) == 1


def test_what_a_shadow_saw_is_shown_and_decides_nothing(browser: Tab, tmp_path: Path) -> None:
    decision, candidate, champion = decided(0.2)
    shadow = Shadow(6, 7, "a", "b", ("road", "sky"), np.array([[30, 10], [0, 0]]), pictures=1234)
    write_decision_page(NOWHERE, tmp_path / "decision.html", decision, candidate, champion, shadow=shadow)
    assert_quiet(browser, tmp_path / "decision.html", 390, "dark")
    assert texts(browser, "#compared") == ["1,234"]
    assert texts(browser, "#shadow tbody td") == ["25.0 %", "absent"]
    assert texts(browser, "#outcome") == [decision.outcome]
    assert texts(shown(browser, tmp_path, decision, candidate, champion), "#shadow") == []
