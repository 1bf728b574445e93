"""The manifest in the order of the shards, and the index of the tiles that its samples become."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from roadseg.contracts.framing import Framing
from roadseg.contracts.shards import BOX, INDEX, shard_name
from roadseg.imaging.codings import how_coded
from roadseg.preprocess.encode import Row

NEEDED = ["sample", "split", "drive", "image", "mask", "image_sha", "mask_sha", "height", "width", "phash"]


@dataclass(frozen=True)
class Drives:
    """Manifest rows by shard; nothing but Arrow columns is held for a sample.

    Attributes:
        rows: columns `NEEDED`, sorted by split, shard and sample.
        names: `<split>/<shard>` of each drive, in that order.
        starts: first row of each drive, and the number of rows at the end.
    """

    rows: pa.Table
    names: list[str]
    starts: list[int]

    @classmethod
    def of(cls, rows: pa.Table) -> "Drives":
        """Sort the rows of a manifest, in whatever order they come."""
        shards = (shard_name(*pair) for pair in _values(rows, "drive", "image_sha"))
        rows = rows.select(NEEDED).append_column("shard", pa.array(shards, pa.string(), size=len(rows)))
        rows = rows.sort_by([(key, "ascending") for key in ("split", "shard", "sample")]).combine_chunks()
        starts: dict[str, int] = {}
        for number, (split, shard) in enumerate(_values(rows, "split", "shard")):
            starts.setdefault(f"{split}/{shard}", number)
        return cls(rows.drop_columns("shard"), list(starts), [*starts.values(), rows.num_rows])

    def __len__(self) -> int:
        return len(self.names)

    def samples(self, number: int) -> list[Row]:
        """The manifest rows of one drive."""
        rows: list[Row] = self.rows.slice(self.starts[number], self.count(number)).to_pylist()
        return rows

    def contents(self) -> Iterator[dict[str, list[object]]]:
        """What each drive's pixels depend on: digests, sizes, and how names say that masks are coded."""
        values = _values(self.rows, "image_sha", "mask_sha", "height", "width", "mask")
        for number in range(len(self)):
            *facts, masks = map(list, zip(*islice(values, self.count(number)), strict=True))
            found = dict(zip(("image_sha", "mask_sha", "height", "width"), facts, strict=True))
            yield found | {"coding": [mask and how_coded(mask) for mask in masks]}

    def index(self, framing: Framing) -> pa.Table:
        """A row per tile, columns `INDEX`."""
        tiles = cache(framing.tiles)
        cuts = [tiles(*size) for size in _values(self.rows, "height", "width")]
        counts = np.array([len(cut) for cut in cuts], np.int64)
        first = np.concatenate([[0], np.cumsum(counts)])[self.starts]  # tile of each drive
        number = np.arange(counts.sum()) - np.repeat(first[:-1], np.diff(first))
        columns = {name: self.rows[name] for name in ("sample", "split", "drive", "image_sha", "mask_sha", "phash")}
        table = pa.table(columns).take(np.repeat(np.arange(len(cuts)), counts))
        table = table.append_column("row", pa.array(number, pa.int32()))
        for side in ("source", "content"):
            boxes = np.array([getattr(tile, side) for cut in cuts for tile in cut], np.int32)
            table = table.append_column(side, pa.FixedSizeListArray.from_arrays(boxes.ravel(), type=BOX))
        return table.select(INDEX.names).cast(INDEX)

    def count(self, number: int) -> int:
        """How many samples a drive has."""
        return self.starts[number + 1] - self.starts[number]


def _values(rows: pa.Table, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Rows of a few columns as Python values, never all of them at once."""
    for batch in rows.select(columns).to_batches(max_chunksize=4096):
        yield from zip(*batch.to_pydict().values(), strict=True)
