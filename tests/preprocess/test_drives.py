"""Rows on disk are those that were given, whichever of them are asked for."""

import pyarrow as pa
import pytest

from roadseg.preprocess.drives import PIECE, Spilled

ROWS = 2 * PIECE + 7
TABLE = pa.table({"a": pa.array(range(ROWS), pa.int32()), "b": [f"{n:x}" if n % 3 else None for n in range(ROWS)]})
WINDOWS = [(0, 1), (0, ROWS), (PIECE - 1, 2), (PIECE, PIECE), (PIECE - 3, PIECE + 9), (ROWS - 1, 1)]


@pytest.mark.parametrize(("start", "count"), WINDOWS)
def test_any_rows_are_read_back(start: int, count: int) -> None:
    assert Spilled(TABLE).slice(start, count).equals(TABLE.slice(start, count))


def test_all_rows_are_read_back_also_of_a_table_in_chunks_and_of_none() -> None:
    chunks = pa.concat_tables([TABLE.slice(0, 5), TABLE.slice(5)])
    assert Spilled(chunks).read().equals(TABLE)
    assert Spilled(chunks).slice(PIECE - 1, 3).equals(TABLE.slice(PIECE - 1, 3))
    assert Spilled(TABLE.slice(0, 0)).read().equals(TABLE.slice(0, 0))


def test_pieces_are_all_rows_in_order() -> None:
    pieces = list(Spilled(TABLE).pieces())
    assert [len(piece) for piece in pieces] == [PIECE, PIECE, 7]
    assert pa.Table.from_batches(pieces).equals(TABLE)
