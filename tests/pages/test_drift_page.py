"""The page about drift, as a browser without a network shows it."""

from pathlib import Path

import pytest
from browser import Tab, assert_quiet, texts
from drifting import new_pictures, predictor_in, reference_of, seen_in
from judged import HOSTILE

from roadseg.drift.finding import Seen
from roadseg.pages.drift_page import write_drift_page

SHOWN = "[...document.querySelectorAll('.shots li')].filter(each => !each.hidden)"


@pytest.fixture(scope="module")
def folder(many_drives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = new_pictures(many_drives, tmp_path_factory.mktemp("drifting") / "new", lambda image: image // 2)
    (folder / HOSTILE).mkdir()
    (folder / HOSTILE / "1.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def seen(many_drives: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    predictor = predictor_in(tmp_path_factory.mktemp("model"))
    return seen_in(folder, reference_of(many_drives, predictor), predictor)


@pytest.fixture(scope="module")
def written(seen: Seen, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "drift.html"
    write_drift_page(out, seen, folder, pictures=True)
    return out


@pytest.fixture
def page(browser: Tab, written: Path) -> Tab:
    browser.open(written)
    return browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 380])
def test_it_fits_and_loads_nothing(browser: Tab, written: Path, width: int, scheme: str) -> None:
    assert_quiet(browser, written, width, scheme)


def test_it_says_what_drifts_and_how_sure_that_is(page: Tab, seen: Seen) -> None:
    assert texts(page, "#verdict") == ["Drift"]
    assert texts(page, "#sentence")[0].lower() == f"{' '.join(seen.finding.sentence.split())}.".lower()
    marked = texts(page, "tr:has(.badge)")
    assert len(marked) == len(seen.finding.drifted)
    [brightness] = [text for text in marked if text.startswith("brightness drifts")]
    [shift] = [shift for shift in seen.finding.drifted if shift.figure == "brightness"]
    assert brightness.endswith(f"{shift.probability:.4f}")


def test_every_figure_has_both_distributions_and_they_lie_apart_where_it_drifts(page: Tab, seen: Seen) -> None:
    figures = [shift.figure for family in seen.finding.families for shift in family.shifts]
    assert sorted(
        page.evaluate("[...document.querySelectorAll('[data-figure]')].map(r => r.dataset.figure)")
    ) == sorted(figures)
    assert len(texts(page, ".pairs")) == len(figures)
    middle = """(() => { const plot = document.querySelector('[data-figure=brightness] .pairs');
      const bars = [...plot.querySelectorAll('rect')].map(r => [+r.getAttribute('x'), +r.getAttribute('height')]);
      const line = plot.querySelector('polyline').getAttribute('points').trim().split(/ +/)
        .map(point => point.split(',').map(Number)).map(([x, y]) => [x, 41 - y]);
      const mean = points => points.reduce((a, [x, h]) => a + x * h, 0) / points.reduce((a, [, h]) => a + h, 0);
      return [mean(bars), mean(line)]; })()"""
    known, new = page.evaluate(middle)
    assert new < known - 20, "of 150"


def test_the_buttons_show_the_farthest_out_for_each_figure(page: Tab, seen: Seen) -> None:
    darkest = seen.new.sort_values("brightness", kind="stable")["name"].tolist()
    page.evaluate("[...document.querySelectorAll('[data-group]')].find(b => b.textContent == 'brightness').click()")
    assert page.evaluate(f"{SHOWN}.map(each => each.querySelector('bdi').textContent)") == darkest[:6]
    first = page.evaluate(f"[...{SHOWN}[0].querySelectorAll('figcaption')].map(each => each.textContent)")
    assert first == ["image", "what the champion sees"]


def test_a_broken_picture_is_named_as_text_whatever_it_is_called(page: Tab) -> None:
    [fault] = texts(page, "#faults li")
    assert "1.jpg: not a picture" in fault
    assert page.evaluate("document.querySelectorAll('[onerror]').length") == 0


def test_without_pictures_names_and_figures_remain(browser: Tab, seen: Seen, folder: Path, tmp_path: Path) -> None:
    write_drift_page(tmp_path / "drift.html", seen, folder, pictures=False)
    browser.open(tmp_path / "drift.html")
    assert texts(browser, "figure") == []
    assert texts(browser, ".shots bdi") != []


def test_where_nothing_drifts_some_pictures_are_shown_all_the_same(
    browser: Tab, many_drives: Path, seen: Seen, tmp_path: Path
) -> None:
    folder = new_pictures(many_drives, tmp_path / "new")
    quiet = seen_in(folder, seen.reference, seen.predictor)
    write_drift_page(tmp_path / "drift.html", quiet, folder, pictures=True)
    assert_quiet(browser, tmp_path / "drift.html", 1200, "light")
    assert texts(browser, "#verdict") == ["No drift"]
    assert texts(browser, ".badge") == []
    assert len(texts(browser, ".shots bdi")) == 6


def test_equal_answers_give_an_equal_page(written: Path, seen: Seen, folder: Path, tmp_path: Path) -> None:
    write_drift_page(tmp_path / "again.html", seen, folder, pictures=True)
    assert (tmp_path / "again.html").read_bytes() == written.read_bytes()
