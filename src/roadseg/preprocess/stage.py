"""Stage preprocess: decode each drive once, to the size that training works at."""

from functools import partial
from pathlib import Path

import numpy as np
from pydantic import Field
from rich.progress import track

from roadseg.contracts.lifeline import pool
from roadseg.contracts.manifest import SPLITS, read_manifest
from roadseg.contracts.params import Section
from roadseg.contracts.shards import write_index
from roadseg.preprocess.encode import by_shard, encode

READS = ("data/raw", "data/manifest.parquet")
WRITES = ("data/shards",)


class PreprocessParams(Section):
    """What preprocess may be told."""

    height: int = Field(gt=0, multiple_of=16, description="of a tile, pixels")
    width: int = Field(gt=0, multiple_of=16, description="of a tile, pixels")


def run(*, preprocess: PreprocessParams) -> None:
    """Write the shards of every drive in the manifest."""
    manifest = read_manifest(Path("data/manifest.parquet"))
    classes, folder = manifest.classes, Path("data/shards")
    groups = by_shard(manifest.records())
    height, width = preprocess.height, preprocess.width
    task = partial(encode, Path("data/raw"), folder, classes=classes, height=height, width=width)
    pixels = {split: np.zeros(classes.count + 1, np.int64) for split in SPLITS}
    index = []
    with pool() as workers:
        for (split, _, _), (rows, counted) in zip(
            groups, track(workers.map(task, groups), "preprocess", len(groups)), strict=True
        ):
            index += rows
            pixels[split] += counted
    write_index(folder, (height, width), classes, {split: counts.tolist() for split, counts in pixels.items()}, index)
    print(f"preprocess: {len(index)} tiles of {width}x{height} in {len(groups)} shards")
