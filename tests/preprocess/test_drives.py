"""Rows on disk are those that were given, whichever of them are asked for."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.manifest import from_rows, write_manifest
from roadseg.preprocess import stage
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


def test_while_pictures_are_decoded_the_rows_of_the_manifest_are_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, idd_level1: ClassTable
) -> None:
    def row(number: int) -> dict[str, Any]:
        names = {"sample": f"train/{number // 50}/{number}", "drive": str(number // 50), "split": "train"}
        return names | {"image": f"{number}.jpg", "image_sha": f"{number:064x}", "height": 9, "width": 9}

    held = []

    class Decoding(Exception):
        pass

    def measure(*_: object) -> None:
        held.append(pa.total_allocated_bytes() - before)
        raise Decoding

    write_manifest(
        tmp_path / "data/manifest.parquet", "manifest", from_rows([row(n) for n in range(20_000)], "x", idd_level1)
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROADSEG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(stage, "_encode", measure)
    before = pa.total_allocated_bytes()
    with pytest.raises(Decoding):
        stage.run(preprocess=stage.PreprocessParams(height=32, width=48, aspect="stretch", tile=0))
    assert held[0] < 500_000  # the rows are 2.5 MB
