"""The manifest in the order of the shards, and the index of the tiles that its samples become."""

from dataclasses import dataclass
from functools import cache

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
        pairs = zip(rows["drive"].to_pylist(), rows["image_sha"].to_pylist(), strict=True)
        rows = rows.select(NEEDED).append_column("shard", pa.array([shard_name(*pair) for pair in pairs], pa.string()))
        rows = rows.sort_by([(key, "ascending") for key in ("split", "shard", "sample")]).combine_chunks()
        places = zip(rows["split"].to_pylist(), rows["shard"].to_pylist(), strict=True)
        starts: dict[str, int] = {}
        for number, (split, shard) in enumerate(places):
            starts.setdefault(f"{split}/{shard}", number)
        return cls(rows.drop_columns("shard"), list(starts), [*starts.values(), rows.num_rows])

    def __len__(self) -> int:
        return len(self.names)

    def samples(self, number: int) -> list[Row]:
        """The manifest rows of one drive."""
        rows: list[Row] = self.rows.slice(self.starts[number], self._count(number)).to_pylist()
        return rows

    def content(self, number: int) -> dict[str, list[object]]:
        """What a drive's pixels depend on: digests, sizes, and how names say that masks are coded."""
        rows = self.rows.select(["image_sha", "mask_sha", "height", "width", "mask"])
        found: dict[str, list[object]] = rows.slice(self.starts[number], self._count(number)).to_pydict()
        return found | {"coding": [mask and how_coded(str(mask)) for mask in found.pop("mask")]}

    def index(self, framing: Framing) -> pa.Table:
        """A row per tile, columns `INDEX`."""
        tiles = cache(framing.tiles)
        heights, widths = (self.rows[key].to_pylist() for key in ("height", "width"))
        cuts = [tiles(*size) for size in zip(heights, widths, strict=True)]
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

    def _count(self, number: int) -> int:
        return self.starts[number + 1] - self.starts[number]
