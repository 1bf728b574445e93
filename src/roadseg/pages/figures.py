"""The figures of a data set: samples by split and drive, how the pictures are."""

from typing import Any

import numpy as np
import pandas as pd

from roadseg.contracts.manifest import SPLITS

BINS = 24
LARGEST = 10  # drives that are named
FACTS = {
    "brightness": (0.0, 1.0),
    "contrast": (0.0, 0.5),
    "sharpness": None,
}  # range of the histogram; None: of the data


def sample_counts(frame: pd.DataFrame) -> dict[str, int]:
    """Samples by split, also of a split that has none."""
    counts = frame["split"].value_counts()
    return {split: int(counts.get(split, 0)) for split in SPLITS}


def drive_histogram(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """How many drives hold how many samples.

    Returns:
        At most about ten bins without a gap: `least` and `most` samples, `drives` that hold so many.
    """
    sizes = frame["drive"].value_counts().to_numpy()
    if not len(sizes):
        return []
    width = -(-int(sizes.max()) // 10)
    counts = np.bincount((sizes - 1) // width)
    return [
        {"least": number * width + 1, "most": (number + 1) * width, "drives": int(drives)}
        for number, drives in enumerate(counts)
    ]


def largest_drives(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The drives with most samples, each with the splits it is in."""
    grouped = frame.groupby("drive")["split"].agg(["size", "unique"])
    first = grouped.sort_values("size", ascending=False, kind="stable").head(LARGEST)
    return [
        {"drive": str(drive), "splits": sorted(row["unique"], key=SPLITS.index), "samples": int(row["size"])}
        for drive, row in first.iterrows()
    ]


def picture_sizes(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Image sizes, the commonest first."""
    counted = frame[["width", "height"]].dropna().astype(int).value_counts().rename("samples").reset_index()
    return [{str(key): int(value) for key, value in row.items()} for row in counted.to_dict("records")]


def picture_facts(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Distribution of brightness, contrast and sharpness by split; a fact that nobody measured is left out.

    Returns:
        `fact`, `split`, quantiles `low` (5 %), `median`, `high` (95 %), and `heights`: BINS bars, 0..1.
    """
    found = []
    for fact, fixed in FACTS.items():
        values = pd.to_numeric(frame[fact]).dropna()
        if not len(values):
            continue
        bounds = fixed or (0.0, float(values.quantile(0.99)) or 1.0)
        for split in SPLITS:
            part = values[frame.loc[values.index, "split"] == split].to_numpy(float)
            if len(part):
                found.append({"fact": fact, "split": split, **_distribution(part, bounds)})
    return found


def _distribution(values: np.ndarray, bounds: tuple[float, float]) -> dict[str, Any]:
    low, median, high = np.quantile(values, (0.05, 0.5, 0.95)).tolist()
    counts, _ = np.histogram(values.clip(*bounds), bins=BINS, range=bounds)
    return {"low": low, "median": median, "high": high, "heights": (counts / counts.max()).tolist()}
