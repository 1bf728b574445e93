"""From an evaluation to the files that hold its scores."""

from pathlib import Path
from typing import Any

import pandas as pd

from roadseg.contracts.evaluation import Counts, Evaluation, write_evaluation
from roadseg.contracts.files import replacing, write_json
from roadseg.evaluate.measures import shares
from roadseg.evaluate.scores import CLASS_METRICS, METRICS, summary


def write_scores(folder: Path, metrics: Path, evaluation: Evaluation, *, resamples: int, seed: int) -> None:
    """Write an evaluation and its scores; equal counts give equal bytes.

    Args:
        folder: gets what the images add, scores.json with every figure, classes.csv and confusion.csv.
        metrics: metrics.json, which holds the headline alone: `dvc metrics diff` has a line for each figure.
        evaluation: that of the val split.
        resamples, seed: for the bootstrap, see `summary`.
    """
    scores = {"split": "val", **summary(evaluation, resamples=resamples, seed=seed)}
    write_evaluation(folder, evaluation)
    write_json(folder / "scores.json", "scores", scores)
    _write_csv(folder / "classes.csv", class_table(scores, evaluation.counts.classes.names))
    _write_csv(folder / "confusion.csv", confusion_table(evaluation.counts.total()))
    write_json(metrics, "metrics", headline(scores))


def headline(scores: dict[str, Any]) -> dict[str, Any]:
    """The scores that people compare first: what was scored, every metric, mIoU's interval, IoU by class."""
    first = {"split", "images", "drives", *METRICS, "miou_low", "miou_high"}
    return {name: value for name, value in scores.items() if name in first or name.startswith("iou.")}


def class_table(scores: dict[str, Any], names: list[str]) -> pd.DataFrame:
    """A row per class: its name and figures, among them the interval of its IoU; empty where it is absent."""
    keys = ["iou", "iou_low", "iou_high", *(key for key in CLASS_METRICS if key != "iou")]
    return pd.DataFrame([{"class": name} | {key: scores[f"{key}.{name}"] for key in keys} for name in names])


def confusion_table(counts: Counts) -> pd.DataFrame:
    """A row per cell of the matrix: true and predicted class, pixels, and their share of the true class, 0..1."""
    names = counts.classes.names
    cells = pd.MultiIndex.from_product([names, [*names, "void"]], names=["truth", "predicted"])
    figures = {"pixels": counts.confusion.ravel(), "share": shares(counts.confusion).ravel()}
    return pd.DataFrame(figures, cells).reset_index()


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
