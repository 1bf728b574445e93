"""One drive from files to arrays of the working size."""

from pathlib import Path
from typing import Any

import numpy as np

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.shards import shard_name, write_array
from roadseg.imaging.masks import read_classes
from roadseg.imaging.pixels import read_image, resize_image, resize_mask

Row = dict[str, Any]


def by_shard(rows: list[Row]) -> list[tuple[str, str, list[Row]]]:
    """Group manifest rows into (split, shard, rows), sorted; a shard is labelled whole or not at all."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: str(row["sample"])):
        groups.setdefault((row["split"], shard_name(row["drive"], row["image_sha"])), []).append(row)
    return [(split, shard, group) for (split, shard), group in sorted(groups.items())]


def encode(
    raw: Path, shards: Path, group: tuple[str, str, list[Row]], classes: ClassTable, height: int, width: int
) -> tuple[list[Row], np.ndarray]:
    """Decode, resize and write one drive.

    Args:
        raw: the data's folder.
        shards: the folder to write into.
        group: split, shard name and manifest rows.
        classes: the table by which masks are read.
        height, width: of the tiles, pixels.

    Returns:
        A row of the shards' index per tile, and int64 (K + 1,): pixels by class, void last.
    """
    split, shard, rows = group
    images = np.empty((len(rows), height, width, 3), np.uint8)
    masks = np.full((len(rows), height, width), 255, np.uint8)
    for number, row in enumerate(rows):
        images[number] = resize_image(read_image(raw / row["image"]), height, width)
        if row["mask"]:
            masks[number] = resize_mask(read_classes(raw / row["mask"], classes)[0], height, width)
    write_array(shards / split / f"{shard}.image.npy", images)
    labelled = any(row["mask"] for row in rows)
    if labelled:
        write_array(shards / split / f"{shard}.mask.npy", masks)
    pixels = np.bincount(np.minimum(masks, classes.count).ravel(), minlength=classes.count + 1)
    index = [_index_row(row, number, height, width) for number, row in enumerate(rows)]
    return index, pixels if labelled else np.zeros_like(pixels)


def _index_row(row: Row, number: int, height: int, width: int) -> Row:
    kept = {key: row[key] for key in ("sample", "split", "drive", "image_sha", "mask_sha", "phash")}
    return kept | {
        "row": number,
        "source": [0, 0, row["height"], row["width"]],
        "content": [0, 0, height, width],
    }
