"""What an exported model costs and gains, beside the bundle that it was made from."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from roadseg.contracts import paths
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.confusion import confusion, mean_iou
from roadseg.evaluate.scores import at_size, official_size
from roadseg.imaging.masks import read_classes
from roadseg.imaging.pixels import read_image
from roadseg.predict.forward import Forward
from roadseg.predict.predictor import Predictor

CALLS = 50  # that a time is the least of


@dataclass(frozen=True)
class Compared:
    """A model's answers.

    Attributes:
        miou: on the pictures' masks, 0..1; None where they have none.
        moved: share of all pixels, at the pictures' own size, that get another class than from the first model.
        worst: that share in the picture where it is largest.
    """

    miou: float | None
    moved: float
    worst: float


def compare_models(
    predictors: Sequence[Predictor], pictures: Sequence[Path], rows: Sequence[dict[str, Any]] = ()
) -> list[Compared]:
    """Predict the pictures with each; a picture of each is in memory.

    Args:
        predictors: that of the bundle first.
        pictures: files, one at least.
        rows: of the manifest, one for each picture, with masks in data/raw; none: nothing is scored.
    """
    classes = predictors[0].bundle.classes
    matrices = np.zeros((len(predictors), classes.count, classes.count + 1), np.int64)
    moved, pixels = [], []
    streams = [predictor(map(read_image, pictures)) for predictor in predictors]
    for number, masks in enumerate(zip(*streams, strict=True)):
        moved.append([int((mask != masks[0]).sum()) for mask in masks])
        pixels.append(masks[0].size)
        if rows:
            matrices += _counted(rows[number], masks, classes)
    shares = np.array(moved) / np.array(pixels)[:, None]
    all_of_them = np.array(moved).sum(0) / sum(pixels)
    return [
        Compared(mean_iou(matrix) if rows else None, float(share), float(worst))
        for matrix, share, worst in zip(matrices, all_of_them, shares.max(0), strict=True)
    ]


def _counted(row: dict[str, Any], masks: Sequence[np.ndarray], classes: ClassTable) -> np.ndarray:
    truth, _ = read_classes(paths.RAW / row["mask"], classes, row.get("coding"))
    size = official_size(classes, truth)
    return np.stack([confusion(*at_size(truth, mask, size), classes.count) for mask in masks])


def milliseconds(models: Sequence[Forward], tile: np.ndarray) -> list[float]:
    """Time of each for one tile, uint8 (H, W, 3): the least of many calls in turn, since other load can only add."""
    times: list[list[float]] = [[] for _ in models]
    for call in range(CALLS + 1):
        for model, taken in zip(models, times, strict=True):
            start = time.perf_counter()
            model(tile[None])
            taken += [1000 * (time.perf_counter() - start)] if call else []  # the first makes code for its size
    return [min(each) for each in times]
