"""The manifest in the order of the shards, and the index of the tiles that its samples become."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from posixpath import splitext
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
import pyarrow as pa

from roadseg.contracts.framing import Framing
from roadseg.contracts.shards import BOX, INDEX, shard_name
from roadseg.preprocess.encode import Row

KEPT = ("sample", "split", "dataset", "drive", "image_sha", "mask_sha", "phash")  # in the index
NEEDED = [*KEPT, "image", "mask", "height", "width", "coding"]
PIECE = 1024  # rows that are read at once


class Spilled:
    """An Arrow table on disk, read a piece at a time, so that memory does not grow with it.

    Args:
        table: what to write.
        folder: where; by default the system's, which on some machines is memory.
    """

    def __init__(self, table: pa.Table, folder: Path | None = None) -> None:
        with NamedTemporaryFile(dir=folder) as file:  # the name goes here, the bytes with the reader, however that ends
            with pa.ipc.new_file(file.name, table.schema) as writer:
                writer.write_table(table.combine_chunks(), max_chunksize=PIECE)
            self._reader = pa.ipc.open_file(pa.OSFile(file.name))
        self._piece = lru_cache(maxsize=2)(self._reader.get_batch)  # a drive often ends where the next begins

    def pieces(self, first: int = 0, after: int | None = None) -> Iterator[pa.RecordBatch]:
        """Pieces of `PIECE` rows from one number up to another, or all."""
        for number in range(first, self._reader.num_record_batches if after is None else after):
            yield self._piece(number)

    def slice(self, start: int, count: int) -> pa.Table:
        """Some rows."""
        first = start // PIECE
        pieces = self.pieces(first, -(-(start + count) // PIECE))
        return pa.Table.from_batches(pieces, self._reader.schema).slice(start - first * PIECE, count)

    def read(self) -> pa.Table:
        """All rows."""
        return self._reader.read_all()


@dataclass(frozen=True)
class Drives:
    """Manifest rows by shard; but for the index, which needs them all, a piece of them is in memory.

    Attributes:
        rows: columns `NEEDED`, sorted by split, shard and sample.
        names: `<split>/<shard>` of each drive, in that order.
        starts: first row of each drive, and the number of rows at the end.
    """

    rows: Spilled
    names: list[str]
    starts: list[int]

    @classmethod
    def of(cls, rows: pa.Table, folder: Path | None = None) -> "Drives":
        """Sort the rows of a manifest, in whatever order they come; `folder` as for `Spilled`."""
        pairs = _values(rows.to_batches(max_chunksize=PIECE), "drive", "image_sha")
        shards = (shard_name(*pair) for pair in pairs)
        rows = rows.select(NEEDED).append_column("shard", pa.array(shards, pa.string(), size=len(rows)))
        rows = rows.sort_by([(key, "ascending") for key in ("split", "shard", "sample")])
        starts: dict[str, int] = {}
        for number, (split, shard) in enumerate(_values(rows.to_batches(max_chunksize=PIECE), "split", "shard")):
            starts.setdefault(f"{split}/{shard}", number)
        return cls(Spilled(rows.drop_columns("shard"), folder), list(starts), [*starts.values(), rows.num_rows])

    def __len__(self) -> int:
        return len(self.names)

    def samples(self, number: int) -> list[Row]:
        """The manifest rows of one drive."""
        rows: list[Row] = self.rows.slice(self.starts[number], self.count(number)).to_pylist()
        return rows

    def contents(self) -> Iterator[dict[str, list[object]]]:
        """What each drive's pixels depend on: digests, sizes, and how masks are coded."""
        values = _values(self.rows.pieces(), "image_sha", "mask_sha", "height", "width", "coding", "mask")
        for number in range(len(self)):
            *facts, masks = map(list, zip(*islice(values, self.count(number)), strict=True))
            found = dict(zip(("image_sha", "mask_sha", "height", "width", "coding"), facts, strict=True))
            yield found | {"ending": [mask and splitext(mask)[1].lower() for mask in masks]}

    def index(self, framing: Framing) -> pa.Table:
        """A row per tile, columns `INDEX`."""
        tiles, rows = cache(framing.tiles), self.rows.read()
        cuts = [tiles(*size) for size in _values(rows.to_batches(), "height", "width")]
        counts = np.array([len(cut) for cut in cuts], np.int64)
        first = np.concatenate([[0], np.cumsum(counts)])[self.starts]  # tile of each drive
        number = np.arange(counts.sum()) - np.repeat(first[:-1], np.diff(first))
        table = rows.select(KEPT).take(np.repeat(np.arange(len(cuts)), counts))
        table = table.append_column("row", pa.array(number, pa.int32()))
        for side in ("source", "content"):
            boxes = np.array([getattr(tile, side) for cut in cuts for tile in cut], np.int32)
            table = table.append_column(side, pa.FixedSizeListArray.from_arrays(boxes.ravel(), type=BOX))
        return table.select(INDEX.names).cast(INDEX)

    def count(self, number: int) -> int:
        """How many samples a drive has."""
        return self.starts[number + 1] - self.starts[number]


def _values(pieces: Iterable[pa.RecordBatch], *columns: str) -> Iterator[tuple[Any, ...]]:
    """Rows of a few columns as Python values, never all of them at once."""
    for piece in pieces:
        yield from zip(*piece.select(list(columns)).to_pydict().values(), strict=True)
