"""The page about labels in doubt, as a browser without a network shows it."""

import shlex
from pathlib import Path

import pytest
from browser import Tab, assert_quiet, texts
from doubted import WRONG, doubted_tree
from judged import HOSTILE

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.manifest import read_manifest
from roadseg.labelling.suspects import most_disputed_first, suspects
from roadseg.pages.labels_page import write_labels_page
from roadseg.predict.predictor import Predictor

SHOWN = "[...document.querySelectorAll('.shots li')].filter(each => !each.hidden)"


def write(
    tree: Path, out: Path, splits: tuple[str, ...] = ("train", "val"), top: int = 50, pictures: bool = True
) -> Path:
    rows = [
        row for row in read_manifest(tree / "data/manifest.parquet").records() if row["split"] in splits and row["mask"]
    ]
    predictor = Predictor(Bundle.open(tree / "models/bundle"), batch=4)
    found = most_disputed_first([each for each in suspects(rows, tree, predictor) if each])
    looked = {split: sum(row["split"] == split for row in rows) for split in splits}
    listed = Path("reports/labels.csv")
    write_labels_page(out, tree, predictor, found, looked=looked, listed=listed, top=top, pictures=pictures)
    return out


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return doubted_tree(tmp_path_factory.mktemp("doubted") / "tree")


@pytest.fixture(scope="module")
def written(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tree, tmp_path_factory.mktemp("page") / "labels.html")


@pytest.fixture
def page(browser: Tab, written: Path) -> Tab:
    browser.open(written)
    return browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_asks_for_nothing_outside_fits_and_complains_of_nothing(
    browser: Tab, written: Path, width: int, scheme: str
) -> None:
    assert_quiet(browser, written, width, scheme)


def test_it_counts_what_is_in_doubt_and_says_what_that_is_worth(page: Tab) -> None:
    assert texts(page, "#suspects, [data-split]") == ["3", "2 of 3", "1 of 3"]
    assert "was trained on the labels of train" in texts(page, "#seen")[0]
    assert texts(page, "[data-pair]")[0] == "non-drivablevehicles1"


def test_every_suspect_is_shown_with_what_is_wrong_and_how_to_leave_it_out(page: Tab) -> None:
    assert texts(page, ".shots bdi") == list(WRONG)
    first = texts(page, ".shots .reason")[0]
    assert "Labelled sky, the model says far-objects with " in first
    assert "box 4, 2, 30, 14" in first
    assert [shlex.split(text)[3] for text in texts(page, ".shots code")] == list(WRONG), "as a shell reads it"
    titles = texts(page, ".shots li:first-child figcaption")
    assert titles == ["image", "label", "prediction", "in doubt"]
    assert set(page.evaluate("[...document.images].slice(0, -1).map(i => i.naturalWidth)")) == {64}


def test_the_area_in_doubt_is_red_where_the_label_is_wrong_and_only_there(page: Tab) -> None:
    red = page.evaluate(
        """(async () => {
          const picture = document.querySelector('.shots li:first-child figure:last-child img');
          await picture.decode();
          const canvas = document.createElement('canvas');
          [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
          const context = canvas.getContext('2d');
          context.drawImage(picture, 0, 0);
          return [[17, 8], [45, 8], [17, 24]].map(([x, y]) => [...context.getImageData(x, y, 1, 1).data])
            .map(([r, g, b]) => r > g + 100);
        })()"""
    )
    assert red == [True, False, False]


def test_the_buttons_show_a_split_or_a_class(page: Tab) -> None:
    samples = f"{SHOWN}.map(each => each.querySelector('bdi').textContent)"
    assert page.evaluate(samples) == list(WRONG)
    for title, expected in {
        "val": ["val/c/1"],
        "labelled living-things": [f"train/b/{HOSTILE}"],
        "all": list(WRONG),
    }.items():
        page.evaluate(f"[...document.querySelectorAll('[data-group]')].find(b => b.textContent == '{title}').click()")
        assert page.evaluate(samples) == expected


def test_names_are_text_whatever_they_hold(page: Tab) -> None:
    assert page.evaluate("document.querySelectorAll('[onerror]').length") == 0


def test_without_pictures_names_and_boxes_remain(browser: Tab, tree: Path, tmp_path: Path) -> None:
    browser.complaints.clear()
    browser.open(write(tree, tmp_path / "labels.html", pictures=False))
    assert texts(browser, ".shots bdi") == list(WRONG)
    assert texts(browser, "figure") == []
    assert browser.complaints == []


def test_where_nothing_is_in_doubt_it_says_so(browser: Tab, tmp_path: Path) -> None:
    tree = doubted_tree(tmp_path / "tree", ["val/c/0"])
    assert_quiet(browser, write(tree, tmp_path / "labels.html", splits=("val",)), 1200, "light")
    assert texts(browser, "#suspects, [data-split]") == ["0", "0 of 1"]
    assert texts(browser, "#seen, .shots, table") == []


def test_equal_files_give_an_equal_page(tree: Path, written: Path, tmp_path: Path) -> None:
    assert write(tree, tmp_path / "again.html").read_bytes() == written.read_bytes()


def test_the_most_disputed_are_shown_and_the_rest_is_counted(browser: Tab, tree: Path, tmp_path: Path) -> None:
    browser.open(write(tree, tmp_path / "labels.html", top=2))
    assert texts(browser, ".shots bdi") == list(WRONG)[:2]
    assert texts(browser, "#images .note")[0].startswith("The 2 with the largest share in doubt")
    assert texts(browser, "#suspects") == ["3"]
