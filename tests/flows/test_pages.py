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
def test_links_stand_between_the_headline_and_the_table(link: str | None, said: str) -> None:
    lines = with_places(SCORES, Path("reports/model.html"), link).splitlines()
    assert lines[:4] == ["## Mean IoU 0.500", "", "8 images.", ""]
    assert lines[4:8] == [said, "", "On this machine: `reports/model.html`", ""]
    assert lines[8:] == ["| class | IoU |", "|---|---|", "| sky | 0.9 |"]
