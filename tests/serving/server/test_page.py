from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import Tab, chromium, texts
from served import picture, waited

if TYPE_CHECKING:
    from conftest import Champion


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


def drop(tab: Tab, file: Path) -> None:
    found = tab.call("Runtime.evaluate", expression="document.getElementById('file')")["result"]["objectId"]
    tab.call("DOM.setFileInputFiles", files=[str(file)], objectId=found)


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_a_dropped_picture_is_shown_with_its_classes(
    champion: "Champion", browser: Tab, tmp_path: Path, width: int, scheme: str
) -> None:
    (tmp_path / "street.jpg").write_bytes(picture(6, 540, 960, "JPEG"))
    browser.requests.clear()
    browser.complaints.clear()
    browser.look(width, scheme)
    browser.open(f"{champion.served.url}/")
    drop(browser, tmp_path / "street.jpg")
    waited(lambda: "pixels" in texts(browser, "#said")[0] or browser.complaints)
    names = [entry.name for entry in champion.bundles[1].classes.classes]
    assert texts(browser, "#legend span") == names
    assert set(texts(browser, "#shares tbody th")) <= set(names)
    assert browser.evaluate("document.getElementById('shown').naturalWidth") == 960
    browser.evaluate("document.getElementById('picture').click()")
    waited(lambda: browser.evaluate("document.getElementById('shown').alt") == "the picture")
    waited(lambda: browser.evaluate("document.getElementById('shown').complete"))  # else the next click ends its load
    browser.evaluate("document.getElementById('overlay').click()")
    waited(lambda: browser.evaluate("document.getElementById('shown').complete"))
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    browser.screenshot(tmp_path / f"page-{scheme}.png")
    assert all(each.startswith((champion.served.url, "blob:", "data:")) for each in browser.requests)
    assert browser.complaints == []


def test_a_broken_picture_says_why(champion: "Champion", browser: Tab, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(picture(6)[:900])
    browser.open(f"{champion.served.url}/")
    drop(browser, tmp_path / "broken.png")
    assert "broken" in waited(lambda: texts(browser, "#said.fails"))[0]
