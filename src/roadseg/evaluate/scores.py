"""From counts to figures; METRICS and CLASS_METRICS are where a figure is added."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.confusion import iou
from roadseg.contracts.evaluation import Counts, Evaluation
from roadseg.evaluate.calibration import expected_calibration_error
from roadseg.evaluate.hierarchy import folded_iou, safe_iou
from roadseg.evaluate.intervals import Metric, intervals
from roadseg.evaluate.measures import (
    accuracy,
    boundary_f,
    dice,
    frequency_weighted_iou,
    mean,
    precision,
    recall,
)
from roadseg.imaging.pixels import resize_mask

# A figure of the whole: from counts with leading axes (...) to (...), or None where the class table has none.
METRICS: dict[str, Metric] = {
    "miou": lambda counts: mean(iou(counts.confusion)),
    "pixel_accuracy": lambda counts: accuracy(counts.confusion),
    "mdice": lambda counts: mean(dice(counts.confusion)),
    "mprecision": lambda counts: mean(precision(counts.confusion)),
    "mrecall": lambda counts: mean(recall(counts.confusion)),
    "fwiou": lambda counts: frequency_weighted_iou(counts.confusion),
    "mboundary_f": lambda counts: mean(boundary_f(counts.boundary)),
    "ece": lambda counts: expected_calibration_error(counts.reliability),
    "safe_miou": lambda counts: _mean_or_none(safe_iou(counts.confusion, counts.classes)),
    "miou_level2": lambda counts: _mean_or_none(folded_iou(counts.confusion, counts.classes, "idd-level2")),
    "miou_level1": lambda counts: _mean_or_none(folded_iou(counts.confusion, counts.classes, "idd-level1")),
}
# A figure of each class: (...) to (..., K); stands in the files as <name>.<class>.
CLASS_METRICS: dict[str, Metric] = {
    "iou": lambda counts: iou(counts.confusion),
    "dice": lambda counts: dice(counts.confusion),
    "precision": lambda counts: precision(counts.confusion),
    "recall": lambda counts: recall(counts.confusion),
    "boundary_f": lambda counts: boundary_f(counts.boundary),
}

OFFICIAL_SIZES = {"idd-level1": (128, 256), "idd-level2": (720, 1280), "idd-level3": (720, 1280)}  # height, width


def official_size(classes: ClassTable, truth: np.ndarray) -> tuple[int, int]:
    """Height and width, pixels, at which the table's authors score; the mask's own for other tables."""
    return OFFICIAL_SIZES.get(classes.name, (truth.shape[0], truth.shape[1]))


def at_size(truth: np.ndarray, prediction: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Bring both uint8 masks to height and width `size`, nearest neighbour."""
    return resize_mask(truth, *size), resize_mask(prediction, *size)


def figures(counts: Counts) -> dict[str, np.ndarray]:
    """Every metric, and every class's, by name; each in the shape of the counts' leading axes."""
    return _known(METRICS, counts) | _by_class(counts.classes, _known(CLASS_METRICS, counts))


def evaluated(rows: list[dict[str, Any]], counts: Counts) -> Evaluation:
    """An evaluation of the images of a manifest.

    Args:
        rows: sample and drive, and brightness and sharpness where known, of each image.
        counts: those of each image, in the same order.

    Raises:
        ValueError: not as many rows as counts.
    """
    if len(rows) != len(counts):
        raise ValueError(f"{len(rows)} rows and the counts of {len(counts)} images: one is shorter")
    kinds = {"sample": pa.string(), "drive": pa.string(), "brightness": pa.float32(), "sharpness": pa.float32()}
    facts = {name: pa.array([row.get(name) for row in rows], kind) for name, kind in kinds.items()}
    return Evaluation(pa.table(facts | {name: pa.array(each) for name, each in figures(counts).items()}), counts)


def summary(evaluation: Evaluation, *, resamples: int, seed: int) -> dict[str, Any]:
    """The figures of all images together with their intervals.

    `<metric>_low` and `<metric>_high` hold the truth with 95 % when drives are drawn anew, `<metric>_images_low` and
    `<metric>_images_high` if images were independent, which they are not; `iou_low.<class>` and `iou_high.<class>` are
    over drives. What is not known is None.
    """
    counts, drives, samples = evaluation.counts, evaluation.drives, evaluation.images["sample"].to_pylist()
    found: dict[str, Any] = {"images": len(samples), "drives": len(set(drives)), **figures(counts.total())}
    over_drives = intervals(counts, drives, METRICS | {"iou": CLASS_METRICS["iou"]}, resamples=resamples, seed=seed)
    over_images = intervals(counts, samples, METRICS, resamples=resamples, seed=seed)
    by_class = over_drives.pop("iou")
    for name, (low, high) in over_drives.items():
        found |= {f"{name}_low": low, f"{name}_high": high}
        found |= {f"{name}_images_low": over_images[name][0], f"{name}_images_high": over_images[name][1]}
    found |= _by_class(counts.classes, {"iou_low": by_class[0], "iou_high": by_class[1]})
    return {name: value if isinstance(value, int) else _known_or_none(float(value)) for name, value in found.items()}


def _known(metrics: Mapping[str, Metric], counts: Counts) -> dict[str, np.ndarray]:
    return {name: values for name, metric in metrics.items() if (values := metric(counts)) is not None}


def _by_class(classes: ClassTable, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{key}.{name}": each[..., k] for key, each in values.items() for k, name in enumerate(classes.names)}


def _known_or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


def _mean_or_none(values: np.ndarray | None) -> np.ndarray | None:
    return None if values is None else mean(values)
