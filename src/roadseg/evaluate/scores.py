"""From confusion matrices to figures and files; METRICS is where a figure is added."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.confusion import iou, mean_iou, pixel_accuracy
from roadseg.contracts.files import replacing, write_json
from roadseg.contracts.shards import write_array
from roadseg.imaging.pixels import resize_mask

METRICS: dict[str, Callable[[np.ndarray], float]] = {"miou": mean_iou, "pixel_accuracy": pixel_accuracy}

OFFICIAL_SIZES = {"idd-level1": (128, 256), "idd-level2": (720, 1280), "idd-level3": (720, 1280)}  # height, width


def official_size(classes: ClassTable, truth: np.ndarray) -> tuple[int, int]:
    """Height and width, pixels, at which the table's authors score; the mask's own for other tables."""
    return OFFICIAL_SIZES.get(classes.name, (truth.shape[0], truth.shape[1]))


def at_size(truth: np.ndarray, prediction: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Bring both uint8 masks to height and width `size`, nearest neighbour."""
    return resize_mask(truth, *size), resize_mask(prediction, *size)


def figures(matrix: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Every metric and every class's IoU of a matrix (K, K + 1), by name."""
    scalars = {name: metric(matrix) for name, metric in METRICS.items()}
    return scalars | {f"iou.{name}": float(value) for name, value in zip(names, iou(matrix), strict=True)}


def write_scores(
    evaluation: Path, metrics: Path, rows: list[dict[str, Any]], matrices: np.ndarray, classes: ClassTable
) -> None:
    """Write the evaluation: matrices and per-image figures in `evaluation`, and the sums in `metrics`.

    Args:
        evaluation: folder for confusion.npy and images.parquet.
        metrics: metrics.json.
        rows: sample and drive of each image, in the order of the matrices.
        matrices: integer (N, K, K + 1), pixels.
        classes: gives the names.
    """
    write_array(evaluation / "confusion.npy", matrices.astype(np.uint32))
    per_image = [
        {"sample": row["sample"], "drive": row["drive"], **figures(matrix, classes.names)}
        for row, matrix in zip(rows, matrices, strict=True)
    ]
    with replacing(evaluation / "images.parquet") as temporary:
        pq.write_table(pa.Table.from_pylist(per_image), temporary)
    total = figures(matrices.sum(0), classes.names)
    write_json(metrics, "metrics", {"split": "val", "images": len(rows), **total})
