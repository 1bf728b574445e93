from pathlib import Path

import pytest

from flows.pages import with_places

SCORES = "## Mean IoU 0.500\n\n8 images.\n\n| class | IoU |\n|---|---|\n| sky | 0.9 |\n"
RUN = "https://host/mlflow/#/experiments/1/runs/abc"


@pytest.mark.parametrize(
    ("link", "said"),
    [
        (
            f"{RUN}/artifacts/evaluation/def/model.html",
            f"In MLflow: [model.html]({RUN}/artifacts/evaluation/def/model.html), [the run]({RUN})",
        ),
        ("file:///home/a/artifacts/model.html", "In MLflow: `file:///home/a/artifacts/model.html`"),
        (None, "MLflow did not take it; `roadseg report model` makes it again."),
    ],
)
def test_links_stand_between_the_headline_and_the_table(link: str | None, said: str, tmp_path: Path) -> None:
    page = tmp_path / "model.html"
    page.touch()
    lines = with_places(SCORES, page, link).splitlines()
    assert lines[:4] == ["## Mean IoU 0.500", "", "8 images.", ""]
    assert lines[4:8] == [said, "", f"On this machine: `{page}`", ""]
    assert lines[8:] == ["| class | IoU |", "|---|---|", "| sky | 0.9 |"]


def test_where_no_page_was_made_none_is_named(tmp_path: Path) -> None:
    lines = with_places(SCORES, tmp_path / "decision.html", None).splitlines()
    assert lines[4:7] == ["No page was made; `roadseg report decision` makes one.", "", "| class | IoU |"]
