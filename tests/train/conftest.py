from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.framing import Framing
from roadseg.contracts.shards import INDEX, Shards, write_array, write_index

HEIGHT, WIDTH = 32, 64
DRIVES = {"a": 3, "b": 2, "c": 4}


@pytest.fixture
def shards(tmp_path: Path, idd_level1: ClassTable) -> Shards:
    return _make_shards(tmp_path / "data/shards", idd_level1)


@pytest.fixture(scope="session")
def make_shards() -> Callable[..., Shards]:
    return _make_shards


def _make_shards(folder: Path, classes: ClassTable, drives: dict[str, int] = DRIVES, kinds: int = 7) -> Shards:
    """Training drives with stripes of `kinds` classes; each image is flat, 20 times the tile's number, from 1."""
    rows, number = [], 0
    pixels = np.zeros(classes.count + 1, np.int64)
    for drive, count in drives.items():
        numbers = range(number + 1, number + count + 1)
        images = np.stack([np.full((HEIGHT, WIDTH, 3), 20 * tile, np.uint8) for tile in numbers])
        stripes = np.indices((HEIGHT, WIDTH)).sum(0) // 8
        masks = np.stack([(stripes + tile) % kinds for tile in numbers]).astype(np.uint8)
        masks[:, :4, :4] = 255
        write_array(folder / "train" / f"{drive}.image.npy", images)
        write_array(folder / "train" / f"{drive}.mask.npy", masks)
        pixels += np.bincount(np.minimum(masks, classes.count).ravel(), minlength=classes.count + 1)
        rows += [_tile(drive, row, tile) for row, tile in enumerate(numbers)]
        number += count
    index = pa.Table.from_pylist(rows, INDEX)
    write_index(folder, Framing(HEIGHT, WIDTH), classes, {"train": pixels.tolist()}, index)
    return Shards.open(folder)


def _tile(drive: str, row: int, number: int) -> dict[str, object]:
    whole = [0, 0, HEIGHT, WIDTH]
    return {
        "sample": f"train/{drive}/{number:04}",
        "split": "train",
        "drive": drive,
        "row": row,
        "source": whole,
        "content": whole,
        "image_sha": f"{number:064x}",
        "mask_sha": f"{number + 1000:064x}",
        "phash": number,
    }


@pytest.fixture
def precision() -> Iterator[None]:
    """Whatever dtype policy a test sets, the next finds the old one."""
    import keras

    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)
