import random
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.manifest import COLUMNS, Manifest, from_rows, read_manifest, write_manifest


def row(split: str, drive: str | None, name: str, **changes: Any) -> dict[str, Any]:
    sample = "/".join(part for part in (split, drive, name) if part)
    full = {
        "sample": sample,
        "image": f"leftImg8bit/{sample}_image.jpg",
        "mask": f"gtFine/{sample}_label.png",
        "drive": drive,
        "split": split,
        "image_sha": f"image of {sample}",
        "mask_sha": f"mask of {sample}",
        "height": 227,
        "width": 320,
        "mask_height": 227,
        "mask_width": 320,
        "class_pixels": [1, 2, 3, 4, 5, 6, 7, 8],
        "invalid_ids": [],
        "brightness": 0.5,
        "contrast": 0.25,
        "sharpness": 100.0,
        "phash": 2**64 - 1,
        "interpolation": None,
        "error": None,
        "coding": None,
        "orientation": None,
        "dataset": "idd",
    }
    return full | changes


ROWS = [
    row("train", "1", "000001"),
    row("train", "1", "frame2", invalid_ids=[9, 14], error="gtFine/x: broken"),
    row("train", None, "3"),
    row("val", "2", "0000004"),
    row("test", "5", "000005", mask=None, mask_sha=None, class_pixels=None, invalid_ids=None),
]


@pytest.fixture
def manifest(idd_level1: ClassTable) -> Manifest:
    return from_rows(ROWS, "idd-lite", idd_level1)


def changed(manifest: Manifest, position: int, **changes: Any) -> Manifest:
    return from_rows(
        ROWS[:position] + [ROWS[position] | changes] + ROWS[position + 1 :], manifest.layout, manifest.classes
    )


@pytest.mark.parametrize("name", ["scan", "manifest"])
def test_what_was_written_is_read_equal(tmp_path: Path, manifest: Manifest, name: str) -> None:
    write_manifest(tmp_path / "a.parquet", name, manifest)
    read = read_manifest(tmp_path / "a.parquet", name)
    assert read.records() == sorted(ROWS, key=lambda row: row["sample"])
    assert (read.layout, read.classes, read.rows.schema) == ("idd-lite", manifest.classes, COLUMNS)


def test_equal_rows_in_any_order_give_equal_bytes(tmp_path: Path, manifest: Manifest) -> None:
    write_manifest(tmp_path / "a.parquet", "scan", manifest)
    for seed in range(5):
        shuffled = pa.Table.from_pylist(random.Random(seed).sample(ROWS, len(ROWS)), COLUMNS)
        write_manifest(tmp_path / "b.parquet", "scan", Manifest(shuffled, "idd-lite", manifest.classes))
        assert (tmp_path / "b.parquet").read_bytes() == (tmp_path / "a.parquet").read_bytes()


def test_rows_that_were_filtered_give_the_bytes_of_those_rows_alone(tmp_path: Path, manifest: Manifest) -> None:
    kept = manifest.where([row["split"] != "test" for row in manifest.records()])
    write_manifest(tmp_path / "a.parquet", "manifest", kept)
    write_manifest(tmp_path / "b.parquet", "manifest", from_rows(ROWS[:4], "idd-lite", manifest.classes))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_absent_keys_are_null(idd_level1: ClassTable) -> None:
    (found,) = from_rows([{"sample": "train/1", "split": "train"}], "x", idd_level1).records()
    assert {key for key, value in found.items() if value is not None} == {"sample", "split"}
    assert list(found) == COLUMNS.names


def test_records_are_those_of_one_split_or_all(manifest: Manifest) -> None:
    assert [row["sample"] for row in manifest.records("val")] == ["val/2/0000004"]
    assert len(manifest.records()) == len(ROWS) == len(manifest.frame)


def test_the_records_of_a_split_cost_nothing_for_the_others(idd_level1: ClassTable) -> None:
    rows = [row("train", "a", str(number)) for number in range(4000)] + [row("val", "b", "0")]
    manifest = from_rows(rows, "folders", idd_level1)
    tracemalloc.start()
    assert len(manifest.records("val")) == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4000 * 100  # bytes; a row as a dictionary takes a thousand


@pytest.mark.parametrize("column", ["sample", "image_sha", "mask_sha"])
def test_the_digest_of_a_split_changes_with_its_samples_and_files(manifest: Manifest, column: str) -> None:
    assert changed(manifest, 3, **{column: "other"}).digest("val") != manifest.digest("val")


def test_the_digest_of_a_split_does_not_change_with_other_splits_or_statistics(manifest: Manifest) -> None:
    digest = manifest.digest("val")
    assert changed(manifest, 0, mask_sha="other", image_sha="other").digest("val") == digest
    assert changed(manifest, 3, brightness=0.1, phash=1).digest("val") == digest
    assert manifest.digest("train") != digest


def test_the_digest_of_a_split_changes_with_the_class_table(manifest: Manifest) -> None:
    other = from_rows(ROWS, manifest.layout, ClassTable.find("idd-level2"))
    assert other.digest("val") != manifest.digest("val")


def test_the_digest_of_a_split_does_not_change_with_what_only_paints_or_judges(manifest: Manifest) -> None:
    content = manifest.classes.content
    content["classes"][0] |= {"color": [9, 9, 9], "protected": True, "group": "ground"}
    other = ClassTable.model_validate(content)
    assert other.content != manifest.classes.content
    assert from_rows(ROWS, manifest.layout, other).digest("val") == manifest.digest("val")


@pytest.mark.parametrize(("name", "command"), [("scan", "dvc repro scan"), ("manifest", "dvc repro validate")])
def test_an_absent_file_is_refused_with_what_to_run(tmp_path: Path, name: str, command: str) -> None:
    with pytest.raises(UsageError, match=f"a.parquet is missing: run `{command}`"):
        read_manifest(tmp_path / "a.parquet", name)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "middle", "footer"])
def test_a_damaged_file_is_refused_with_what_to_run(tmp_path: Path, manifest: Manifest, damage: str) -> None:
    path = tmp_path / "a.parquet"
    write_manifest(path, "manifest", manifest)
    whole = path.read_bytes()
    length = int.from_bytes(whole[-8:-4], "little")
    damaged = {
        "empty": b"",
        "text": b"sample,image\n" * 9,
        "cut": whole[: len(whole) // 2],
        "middle": whole[:4] + b"\xa5" * 200 + whole[204:],
        "footer": whole[: -length - 8] + b"\xa5" * length + whole[-8:],
    }[damage]
    path.write_bytes(damaged)
    with pytest.raises(UsageError, match=r"(?s)a\.parquet is damaged \(.*: run `dvc repro validate`"):
        read_manifest(path)


def test_a_file_of_another_schema_is_refused_with_what_to_run(tmp_path: Path, manifest: Manifest) -> None:
    path = tmp_path / "a.parquet"
    write_manifest(path, "scan", manifest)
    with pytest.raises(UsageError, match="schema 'roadseg/scan/1', not 'roadseg/manifest/1': run `dvc repro validate`"):
        read_manifest(path)
    pq.write_table(manifest.rows, path)
    with pytest.raises(UsageError, match="schema None"):
        read_manifest(path)


@pytest.mark.parametrize("columns", [None, ["sample", "dataset"], ["sample"]])
def test_what_a_file_of_before_does_not_say_is_unknown(
    tmp_path: Path, manifest: Manifest, columns: list[str] | None
) -> None:
    write_manifest(tmp_path / "now.parquet", "manifest", manifest)
    table = pq.read_table(tmp_path / "now.parquet").drop_columns(["coding", "orientation", "dataset"])
    pq.write_table(table, tmp_path / "before.parquet")
    read = read_manifest(tmp_path / "before.parquet", columns=columns)
    unknown = [row | dict.fromkeys(("coding", "orientation", "dataset")) for row in manifest.records()]
    assert read.records() == [{key: row[key] for key in columns or row} for row in unknown]
    assert columns or read.rows.schema == COLUMNS


def test_the_name_of_a_data_set_makes_no_other_val_split(manifest: Manifest) -> None:
    other = from_rows([row | {"dataset": "another"} for row in ROWS], manifest.layout, manifest.classes)
    assert other.digest("val") == manifest.digest("val")
