"""The page about the data, as a browser without a network shows it."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Tab, assert_quiet, texts
from judged import HOSTILE, expectation, sample_row, write_tree
from PIL import Image

from roadseg.contracts.errors import UsageError
from roadseg.pages.data_page import render_data_page, write_data_page


@pytest.fixture(params=["accepted", "refused"])
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    out = tmp_path / "data.html"
    write_data_page(request.getfixturevalue(request.param), out)
    return out


@pytest.fixture
def refusal(browser: Tab, refused: Path, tmp_path: Path) -> Tab:
    """The browser with the page of refused data."""
    write_data_page(refused, tmp_path / "data.html")
    browser.open(tmp_path / "data.html")
    return browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_asks_for_nothing_outside_fits_and_complains_of_nothing(
    browser: Tab, page: Path, width: int, scheme: str
) -> None:
    assert_quiet(browser, page, width, scheme)


def test_the_browser_of_these_tests_sees_complaints_and_requests(browser: Tab, tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text("<script src='http://outside.example/x.js'></script><script>nothing.x</script>")
    browser.complaints.clear()
    browser.open(tmp_path / "bad.html")
    assert "http://outside.example/x.js" in browser.requests
    assert {"not loaded: net::ERR_NAME_NOT_RESOLVED", "Uncaught"} <= set(browser.complaints)


def test_accepted_data_are_called_accepted(browser: Tab, accepted: Path, tmp_path: Path) -> None:
    write_data_page(accepted, tmp_path / "data.html")
    browser.open(tmp_path / "data.html")
    assert texts(browser, "h1") == ["✓ Data accepted"]
    assert texts(browser, "#accepted") == ["28"]
    assert texts(browser, "article") == []
    assert "There is no earlier version to compare with" in texts(browser, "#changes")[0]


def test_numbers_on_the_page_are_those_of_the_files(refusal: Tab) -> None:
    assert texts(refusal, "h1") == ["✕ Data refused"]
    assert texts(refusal, "#refused, #warned, #quarantined, #drive-count") == ["3", "15", "4", "1"]
    assert texts(refusal, "dd[data-split]") == ["21", "5", "1"], "the quarantined sample is left out"
    order = ["files_decode", "mask_present", "splits_there", "brightness", "void_share"]
    rows = refusal.evaluate("[...document.querySelectorAll('[data-expectation]')].map(r => r.dataset.expectation)")
    assert rows == order, "what fails comes first, critical before warnings"
    assert texts(refusal, "[data-failing]") == ["2", "1", "1", "15", "0"]
    cells = texts(refusal, "[data-class=drivable] td .share, [data-class=vehicles] td .share")
    assert cells == ["50.0 %", "50.0 %", "15.0 %", "15.0 %"]
    assert texts(refusal, "[data-class] .shift") == ["+10.0"], "and no shift where the shares are equal"
    assert texts(refusal, "tfoot .share") == ["2.3 %"] * 2
    drives = [int(text) for text in texts(refusal, "[data-drives]")]
    assert drives == [2, 0, 1, 0, 0, 0, 0, 0, 0, 1]


def test_failing_samples_are_shown_and_the_rest_is_named(refusal: Tab) -> None:
    shown = refusal.evaluate("[...document.images].map(i => i.complete && i.naturalWidth)")
    assert set(shown) == {64}
    assert len(shown) == 1 + 2 + 1 + 22, "broken files have none"
    assert texts(refusal, "#fails-files_decode .broken")[0].startswith("⌀ cannot be decoded: ")
    assert texts(refusal, "#fails-mask_present .broken") == ["⌀ there is no mask"]
    assert texts(refusal, "#fails-brightness summary") == ["3 more"]
    assert texts(refusal, "#fails-brightness .names bdi")[::2] == ["train/a/12", "train/a/13", "train/a/14"]
    assert texts(refusal, "#fails-splits_there .names bdi") == ["split val is <b>empty</b>"]


def test_every_picture_is_described_and_every_table_has_headers(refusal: Tab) -> None:
    described = refusal.evaluate("[...document.images].map(each => each.alt)")
    assert {"image of train/a/01", "mask of train/a/00"} <= set(described)
    assert all(described)
    assert refusal.evaluate("document.querySelectorAll('table').length") > 4
    assert refusal.evaluate("document.querySelectorAll('table:not(:has(thead th[scope=col]))').length") == 0


def test_names_and_reasons_are_text_whatever_they_hold(refusal: Tab) -> None:
    assert texts(refusal, "#fails-files_decode .card .sample")[1] == f"train/b/{HOSTILE}"
    assert texts(refusal, "#fails-files_decode .card .reason")[1] == HOSTILE
    assert refusal.evaluate("document.querySelectorAll('[onerror], script, td b').length") == 0
    assert "no longer, <b>there</b>" in texts(refusal, "#quarantine")[0]


def test_without_pictures_names_and_reasons_remain(browser: Tab, refused: Path, tmp_path: Path) -> None:
    write_data_page(refused, tmp_path / "data.html", pictures=False)
    browser.open(tmp_path / "data.html")
    assert texts(browser, "img, .broken") == []
    assert "train/a/01" in texts(browser, "#fails-mask_present .sample")


def test_equal_files_give_an_equal_page(refused: Path) -> None:
    assert render_data_page(refused) == render_data_page(refused)


@pytest.mark.parametrize("name", ["data/scan.parquet", "reports/verdict.json", "reports/flagged.parquet"])
def test_a_missing_file_is_named_with_what_to_run(name: str, tmp_path: Path) -> None:
    (write_tree(tmp_path, [sample_row("train", "a", "0")], [], []) / name).unlink()
    with pytest.raises(UsageError, match=rf"{name}.*run `dvc repro \w+`"):
        render_data_page(tmp_path)


def test_20000_samples_all_failing_make_a_small_page_in_seconds(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [sample_row("train", f"drive {n % 300}", f"{n:05}") for n in range(20_000)]
    noise = np.random.default_rng(0).integers(0, 256, (192, 256, 3), np.uint8)
    names = [f"expectation_{number}" for number in range(25)]
    for row in rows[:12]:
        (tmp_path / "data/raw" / row["image"]).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).save(tmp_path / "data/raw" / row["image"])
    flagged = [
        {"sample": row["sample"], "expectation": name, "severity": "warning", "reason": f"{row['image']}: is strange"}
        for name in names
        for row in rows
    ]
    write_tree(tmp_path, rows, [expectation(name, "warning", 20_000, 20_000) for name in names], flagged)
    start = time.process_time()
    page = render_data_page(tmp_path)
    assert time.process_time() - start < 30, "a few seconds on a machine that does nothing else"
    assert len(page) < 10e6
    assert page.count('<li class="card">') <= 120
    assert "19,996 more" in page
