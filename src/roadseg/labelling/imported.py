"""What imports leave with a batch: cost picture by picture, so that a second part adds to the first."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from roadseg.contracts.files import read_json, write_json
from roadseg.labelling.batch import IMPORTED, Batch

TOLD = "told.json"
Cells = list[list[int]]  # what the model said, what people made of it, pixels: of one picture, where there are any


def remember(
    batch: Batch, counts: Mapping[str, np.ndarray], drives: dict[str, str], left_out: Sequence[str], done: set[str]
) -> None:
    """Write imported.json: what earlier parts of the batch left, and this one.

    Args:
        batch: that was imported, or a part of it.
        counts: of each picture of this import by digest, int64 (K + 1, K + 1), see `Taken.counts`.
        drives: of this import, and the split of each.
        left_out: samples of these drives without a label.
        done: samples that are labelled now.
    """
    before = batch.imported or {}
    names = [*batch.classes.names, "void"]
    cells: dict[str, Cells] = before.get("by_picture", {}) | {sha: _cells(each) for sha, each in counts.items()}
    content = {
        "when": before.get("when") or f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "pictures": sorted(cells),
        "drives": before.get("drives", {}) | drives,
        "left_out": sorted({*before.get("left_out", ()), *left_out} - done),
        "classes": names,
        "counts": _summed(cells, len(names)).tolist(),
        "by_picture": cells,
    }
    write_json(batch.folder / IMPORTED, "label-import", content)


def is_told(batch: Batch) -> bool:
    """Whether all pictures that are imported were announced, so that an equal import need not start a training."""
    path = batch.folder / TOLD
    if batch.imported is None or not path.exists():
        return False
    return bool(read_json(path, "label-told", "roadseg label import")["pictures"] == batch.imported["pictures"])


def remember_told(batch: Batch) -> None:
    """Note that what is imported was announced."""
    write_json(batch.folder / TOLD, "label-told", {"pictures": (batch.imported or {}).get("pictures", [])})


def _cells(counts: np.ndarray) -> Cells:
    return [[int(said), int(made), int(counts[said, made])] for said, made in np.argwhere(counts)]


def _summed(cells: dict[str, Cells], size: int) -> np.ndarray:
    found = np.zeros((size, size), np.int64)
    for each in cells.values():
        for said, made, pixels in each:
            found[said, made] += pixels
    return found
