"""`dvc plots` and `dvc metrics` draw and list what the stages write."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from trees import commit, run

MADE = {"rev", "said"}  # fields that DVC and a template add


def plots(tree: Path, *arguments: str) -> dict[str, Any]:
    """The Vega-Lite specification of each plot by its name."""
    shown = json.loads(run(tree, "dvc", "plots", *arguments, "--json").stdout)
    assert "errors" not in shown
    return {name: entry["content"] for name, [entry] in shown["data"].items()}


def fields(spec: Any) -> Iterator[str]:
    """Every field of the data that a specification draws."""
    for key, value in spec.items() if isinstance(spec, dict) else enumerate(spec):
        if key == "field":
            yield value
        elif key != "data" and isinstance(value, dict | list):
            yield from fields(value)


@pytest.fixture(scope="module")
def specs(finished: Path) -> dict[str, Any]:
    return plots(finished, "show")


def test_curves_bars_and_confusion_are_drawn_from_fields_that_are_there(specs: dict[str, Any]) -> None:
    assert list(specs) == ["loss", "monitored_miou", "learning_rate", "class_iou", "confusion"]
    for name, spec in specs.items():
        rows = spec["data"]["values"]
        drawn = set(fields(spec)) - MADE
        assert drawn, name
        assert all(drawn <= row.keys() for row in rows), name
        assert "<DVC_METRIC" not in json.dumps(spec), name


def test_curves_have_a_point_per_epoch_and_bars_and_cells_are_those_of_the_scores(
    finished: Path, specs: dict[str, Any]
) -> None:
    rows = {name: spec["data"]["values"] for name, spec in specs.items()}
    for name in ("loss", "monitored_miou", "learning_rate"):
        assert [row["epoch"] for row in rows[name]] == ["1", "2"]
    headline = json.loads((finished / "metrics.json").read_text())
    bars = {f"iou.{row['class']}": float(row["iou"]) for row in rows["class_iou"]}
    assert bars == {name: value for name, value in headline.items() if name.startswith("iou.")}
    right = sum(int(row["pixels"]) for row in rows["confusion"] if row["truth"] == row["predicted"])
    assert right / sum(int(row["pixels"]) for row in rows["confusion"]) == headline["pixel_accuracy"]


def test_another_revision_stands_beside_this_one(finished_checkout: Path) -> None:
    metrics = finished_checkout / "metrics.json"
    headline = json.loads(metrics.read_text())
    metrics.write_text(json.dumps({k: v + 0.01 if isinstance(v, float) else v for k, v in headline.items()}))
    for name, spec in plots(finished_checkout, "diff", "HEAD").items():
        assert {row["rev"] for row in spec["data"]["values"]} == {"HEAD", "workspace"}, name
    changes = json.loads(run(finished_checkout, "dvc", "metrics", "diff", "--json").stdout)["metrics.json"]
    assert {"miou", "iou.sky"} <= changes.keys()
    assert len(changes) < 25, "a screen of lines"


def test_looking_at_plots_leaves_nothing_to_commit(finished_checkout: Path) -> None:
    commit(finished_checkout, "all")
    run(finished_checkout, "dvc", "plots", "show")
    assert (finished_checkout / "dvc_plots/index.html").exists()
    assert run(finished_checkout, "git", "status", "--porcelain").stdout == ""
