"""What the page about the data says of the version before, as a browser shows it."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from browser import Tab, assert_quiet, texts
from judged import HOSTILE, expectation, sample_row, write_tree
from PIL import Image
from trees import commit

from roadseg.pages.data_page import NAMED, write_data_page

SCAN = "data/scan.parquet"
ROOT = "document.documentElement"
Rows = list[dict[str, Any]]
STAY = [sample_row("train", "a", f"{number:02}", mask_sha="m") for number in range(6)]
BEFORE = [*STAY, sample_row("train", "b", HOSTILE), sample_row("val", "c", "0"), sample_row("val", "c", "gone")]
NOW = [
    STAY[0] | {"image_sha": "another"},
    *(row | {"mask_sha": "another"} for row in STAY[1:3]),
    *STAY[3:5],
    sample_row("val", "a", "05", mask_sha="m"),  # was in train
    sample_row("train", "b", HOSTILE, image_sha="another"),
    sample_row("val", "c", "0", class_pixels=[1100, 100, 0, 600, 0, 200, 0, 48]),
    *(sample_row("train", "d", f"{number:03}") for number in range(NAMED + 2)),
]
ALL_GOOD = [expectation("files_decode", "critical", 0, 9)]


def version(tree: Path, rows: Rows, subject: str) -> Path:
    """Leave the tree as `dvc repro scan` and a commit would; its bytes in DVC's cache."""
    scan = write_tree(tree, rows, ALL_GOOD, []) / SCAN
    (tree / ".dvc").mkdir()
    (tree / ".dvc/config").touch()
    md5 = hashlib.md5(scan.read_bytes()).hexdigest()
    (tree / "dvc.lock").write_text(yaml.safe_dump({"stages": {"scan": {"outs": [{"path": SCAN, "md5": md5}]}}}))
    cached = tree / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    cached.parent.mkdir(parents=True)
    shutil.copy(scan, cached)
    commit(tree, subject)
    return cached


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """The version before, in DVC's cache; the tree below `tmp_path` holds a newer one."""
    cached = version(tmp_path / "tree", BEFORE, HOSTILE)
    write_tree(tmp_path / "tree", NOW, ALL_GOOD, [])
    return cached


@pytest.fixture
def page(cached: Path, tmp_path: Path) -> Path:
    write_data_page(tmp_path / "tree", tmp_path / "data.html")
    return tmp_path / "data.html"


def said_anew(browser: Tab, folder: Path) -> str:
    """What the section says on a page that is made now."""
    write_data_page(folder / "tree", folder / "data.html")
    browser.open(folder / "data.html")
    return texts(browser, "#changes")[0]


def test_what_came_went_and_changed_is_counted_and_named(browser: Tab, page: Path) -> None:
    browser.open(page)
    said = texts(browser, "#changes [data-change]")
    assert said == [f"{NAMED + 3} added", "2 removed", "2 with another image", "2 with another mask"]
    added, removed, images, masks = (
        texts(browser, f"#changes details:nth-of-type({number}) li") for number in range(1, 5)
    )
    assert added[:2] == ["train/d/000", "train/d/001"]
    assert added[NAMED:] == ["and 3 more"], "the one that moved to val is among them"
    assert removed == ["train/a/05", "val/c/gone"]
    assert images == ["train/a/00", f"train/b/{HOSTILE}"]
    assert masks == ["train/a/01", "train/a/02"]


def test_the_version_before_is_named_by_its_commit(browser: Tab, page: Path) -> None:
    browser.open(page)
    (said,) = texts(browser, "#changes > p:first-of-type")
    assert said.startswith("Since commit ")
    assert said.endswith(f", “{' '.join(HOSTILE.split())}”."), "a subject is text, whatever it holds"


def test_class_shares_that_moved_are_listed_with_the_largest_move_first(browser: Tab, page: Path) -> None:
    browser.open(page)
    cells = texts(browser, "#changes tbody tr > *")
    assert [cells[at : at + 5] for at in range(0, len(cells), 5)] == [
        ["non-drivable", "val", "25.0 %", "15.0 %", "−10.0"],  # noqa: RUF001 - a minus sign
        ["vehicles", "val", "15.0 %", "22.5 %", "+7.5"],
        ["drivable", "val", "50.0 %", "52.5 %", "+2.5"],
    ]


def test_where_only_names_and_bytes_changed_no_share_is_listed(browser: Tab, cached: Path, tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", [*BEFORE[:-1], sample_row("val", "c", "new")], ALL_GOOD, [])
    assert "No class share moved by 0.1 percentage points." in said_anew(browser, tmp_path)
    assert texts(browser, "#changes [data-change]")[:2] == ["1 added", "1 removed"]
    assert texts(browser, "#changes table") == []


def test_a_version_that_the_cache_lacks_is_named_with_what_brings_it(
    browser: Tab, cached: Path, tmp_path: Path
) -> None:
    cached.unlink()
    said = said_anew(browser, tmp_path)
    assert "is not in DVC's cache; dvc fetch --all-commits data/scan.parquet brings it from a remote." in said
    assert texts(browser, "#changes [data-change]") == []


def test_a_version_in_another_format_is_named_and_not_compared(browser: Tab, cached: Path, tmp_path: Path) -> None:
    table = pq.read_table(cached)
    pq.write_table(table.replace_schema_metadata(table.schema.metadata | {b"schema": b"roadseg/scan/0"}), cached)
    assert "was written in another format and cannot be compared." in said_anew(browser, tmp_path)
    assert texts(browser, "#changes [data-change]") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_with_changes_fits_and_asks_for_nothing(browser: Tab, page: Path, width: int, scheme: str) -> None:
    assert_quiet(browser, page, width, scheme)


@pytest.mark.parametrize(("scheme", "ground"), [("light", 255), ("dark", 0)])
def test_a_picture_of_the_whole_page_shows_every_section(
    browser: Tab, page: Path, tmp_path: Path, scheme: str, ground: int
) -> None:
    browser.look(1200, scheme)
    browser.open(page)
    browser.evaluate("document.querySelectorAll('#changes details').forEach(each => each.open = true)")
    boxes = browser.evaluate("[...document.querySelectorAll('section')].map(s => [s.offsetTop, s.offsetHeight])")
    shape = tuple(browser.evaluate(f"[{ROOT}.scrollHeight, {ROOT}.scrollWidth]"))
    browser.screenshot(tmp_path / "page.png")
    picture = np.asarray(Image.open(tmp_path / "page.png").convert("L"), np.int16)
    assert picture.shape == shape
    assert len(picture) > 2000, "more than a screen"
    assert abs(picture[0, 0] - ground) < 60
    assert len(boxes) >= 5
    for top, height in boxes:
        assert np.ptp(picture[round(top) : round(top + height)]) > 150, "text stands out from its ground"
