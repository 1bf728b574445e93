"""The figures of an evaluation, in the order in which people want to see them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from roadseg.contracts.confusion import iou
from roadseg.contracts.evaluation import UNIT, Evaluation
from roadseg.evaluate.scores import CLASS_METRICS, METRICS

CONFUSIONS = 2  # named of each class
MIN_SHARE = 0.02  # of a class's true pixels, below which a confusion is not named
CURVES = {"miou": "monitored mIoU", "loss": "training loss"}


@dataclass(frozen=True)
class ClassRow:
    """A class on the page.

    Attributes:
        share: its part of the counted true pixels, 0..1.
        figures: each by its key of `CLASS_METRICS`, 0..1 or None where absent.
        low, high: the interval of the IoU over drives.
        taken_for: other classes' names and the share of this one's true pixels that went there, most first.
        before: IoU of the model that it is compared with.
    """

    name: str
    color: tuple[int, int, int]
    protected: bool
    share: float
    figures: dict[str, float | None]
    low: float | None
    high: float | None
    taken_for: list[tuple[str, float]]
    before: float | None


@dataclass(frozen=True)
class Headline:
    """A figure of the whole split with its intervals, over drives and over images."""

    name: str
    value: float | None
    drives: tuple[float | None, float | None]
    images: tuple[float | None, float | None]


def headlines(scores: dict[str, Any]) -> list[Headline]:
    """Every figure of scores.json that is of the whole split, in the order of METRICS."""
    return [
        Headline(
            name,
            scores[name],
            (scores.get(f"{name}_low"), scores.get(f"{name}_high")),
            (scores.get(f"{name}_images_low"), scores.get(f"{name}_images_high")),
        )
        for name in METRICS
        if name in scores
    ]


def class_rows(evaluation: Evaluation, scores: dict[str, Any], before: Evaluation | None) -> list[ClassRow]:
    """A row per class, the one in most need first.

    Args:
        evaluation: that of the model that the page is about.
        scores: its scores.json.
        before: that of the model that it is compared with, over the same class table.
    """
    matrix = evaluation.counts.total().confusion
    pixels = matrix.sum(1)
    earlier = None if before is None else iou(before.counts.total().confusion)
    rows = [
        ClassRow(
            entry.name,
            entry.color,
            entry.protected,
            float(pixels[number] / max(1, pixels.sum())),
            {key: scores.get(f"{key}.{entry.name}") for key in CLASS_METRICS},
            scores.get(f"iou_low.{entry.name}"),
            scores.get(f"iou_high.{entry.name}"),
            _taken_for(matrix[number], number, evaluation.counts.classes.names),
            None if earlier is None or np.isnan(earlier[number]) else float(earlier[number]),
        )
        for number, entry in enumerate(evaluation.counts.classes.classes)
    ]
    return sorted(rows, key=lambda row: 2.0 if row.figures["iou"] is None else row.figures["iou"])


def _taken_for(row: np.ndarray, number: int, names: list[str]) -> list[tuple[str, float]]:
    shares = row / max(1, row.sum())
    order = [other for other in np.argsort(-shares, kind="stable").tolist() if other != number]
    called = [*names, "void"]
    return [(called[other], float(shares[other])) for other in order[:CONFUSIONS] if shares[other] >= MIN_SHARE]


def reliability(evaluation: Evaluation) -> list[dict[str, float]]:
    """Bins of confidence that hold pixels: `confidence` and `right`, 0..1, and `share` of all pixels."""
    counted = evaluation.counts.total().reliability
    total = max(1, int(counted[:, 0].sum()))
    return [
        {"confidence": units / UNIT / pixels, "right": right / pixels, "share": pixels / total}
        for pixels, right, units in counted.tolist()
        if pixels
    ]


def curves(history: pd.DataFrame) -> list[dict[str, Any]]:
    """What the training's history draws: `name`, `first`, `last`, `best`, and `points`, (x, y) in 0..1, y upward."""
    found = []
    for column, name in CURVES.items():
        values = history[column].to_numpy(float)
        known = values[np.isfinite(values)]
        if len(known):
            low, span = known.min(), float(np.ptp(known)) or 1.0
            x = np.linspace(0, 1, len(values))
            points = [(float(a), float((b - low) / span)) for a, b in zip(x, values, strict=True) if np.isfinite(b)]
            best = known.max() if column == "miou" else low
            found.append({"name": name, "first": known[0], "last": known[-1], "best": best, "points": points})
    return found
