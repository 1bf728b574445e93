"""The page about a search: DVC's experiments by their score on the monitored drives, in parallel coordinates."""

import math
from pathlib import Path
from typing import Any

import pandas as pd

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.pages.rendering import render, write_page

SCORES = str(paths.MONITORED)
DECADE = 10  # a parameter that spans more than this factor has a logarithmic axis
MIOU = "monitored mIoU"


def experiments(shown: list[dict[str, Any]]) -> pd.DataFrame:
    """What `dvc exp show --json` says of the experiments that were trained.

    Args:
        shown: its answer, the workspace and then each commit with its experiments.

    Returns:
        A row per experiment, the best first: name, `MIOU`, and every parameter in which they differ as
        `<section>.<key>`.

    Raises:
        UsageError: there is none.
    """
    rows = [
        {"name": each["name"], MIOU: score, **_parameters(data)}
        for commit in shown[1:]
        for each in commit.get("experiments") or []
        if (data := each["revs"][0].get("data")) and (score := _score(data)) is not None
    ]
    if not rows:
        raise UsageError(
            "no experiment of this commit has been trained: queue some with `dvc exp run --queue -S "
            "'train.learning_rate=1.0e-3,2.0e-3' train` and start them with `dvc queue start`"
        )
    frame = pd.DataFrame(rows).sort_values([MIOU, "name"], ascending=[False, True], ignore_index=True)
    same = [name for name in frame if name not in ("name", MIOU) and frame[name].map(str).nunique() == 1]
    return frame.drop(columns=same)


def axes(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The parameters and at last the score, each with its ends and a place 0..1 for every row."""
    return [_axis(str(name), frame[name].tolist()) for name in [*frame.columns.drop(["name", MIOU]), MIOU]]


def write_search_page(path: Path, frame: pd.DataFrame) -> None:
    """Write one HTML file about `experiments`; it loads nothing from anywhere."""
    write_page(path, render("search.html", frame=frame, axes=axes(frame), miou=MIOU))


def _score(data: dict[str, Any]) -> float | None:
    found = (data.get("metrics") or {}).get(SCORES, {}).get("data") or {}
    return found.get("miou")


def _parameters(data: dict[str, Any]) -> dict[str, Any]:
    sections = data["params"][str(paths.PARAMS)]["data"]
    return {f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()}


def _axis(name: str, values: list[Any]) -> dict[str, Any]:
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        kinds = sorted({str(value) for value in values})
        places = [kinds.index(str(value)) / max(1, len(kinds) - 1) for value in values]
        return {"name": name, "low": kinds[0], "high": kinds[-1], "places": places}
    low, high = min(values), max(values)
    scale = math.log if low > 0 and high > DECADE * low else float
    width = scale(high) - scale(low)
    places = [(scale(value) - scale(low)) / width if width else 0.5 for value in values]
    return {"name": name, "low": f"{low:.4g}", "high": f"{high:.4g}", "places": places}
