from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import digest_file
from roadseg.contracts.manifest import from_rows, write_manifest
from roadseg.contracts.shards import Shards
from roadseg.preprocess.encode import by_shard, encode
from roadseg.preprocess.stage import PreprocessParams, run
from roadseg.scan.layouts.known import LAYOUTS
from roadseg.scan.statistics import facts

HEIGHT, WIDTH = 48, 80


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def rows(scenes: Path, idd_level1: ClassTable) -> list[dict[str, Any]]:
    return [facts(scenes, found, idd_level1) for found in LAYOUTS["idd-lite"].find(scenes)]


@pytest.fixture(scope="module")
def tree(
    tmp_path_factory: pytest.TempPathFactory, scenes: Path, rows: list[dict[str, Any]], idd_level1: ClassTable
) -> Path:
    """A folder in which preprocess has run over all scenes."""
    folder = tmp_path_factory.mktemp("preprocess")
    write_manifest(folder / "data/manifest.parquet", "manifest", from_rows(rows, "idd-lite", idd_level1))
    (folder / "data/raw").symlink_to(scenes)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("ROADSEG_WORKERS", "1")
        run(preprocess=PreprocessParams(height=HEIGHT, width=WIDTH))
    return folder


@pytest.fixture(scope="module")
def shards(tree: Path) -> Shards:
    return Shards.open(tree / "data/shards")


def tiles(shards: Shards, kind: str) -> dict[str, np.ndarray]:
    """Every tile by its sample, found through the index."""
    found = {}
    for entry in shards.index.to_dict("records"):
        path = shards.folder / entry["split"] / f"{entry['drive']}.{kind}.npy"
        if path.exists():
            found[entry["sample"]] = np.load(path)[entry["row"]]
    return found


def test_every_mask_is_that_of_its_file_resized_with_nearest_neighbour(
    shards: Shards, scenes: Path, rows: list[dict[str, Any]]
) -> None:
    masks = tiles(shards, "mask")
    for row in rows:
        if row["mask"]:
            expected = Image.open(scenes / row["mask"]).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST)
            np.testing.assert_array_equal(masks.pop(row["sample"]), np.asarray(expected))
    assert not masks


def test_every_image_is_that_of_its_file_at_the_size_asked_for(
    shards: Shards, scenes: Path, rows: list[dict[str, Any]]
) -> None:
    images = tiles(shards, "image")
    for row in rows:
        image = images.pop(row["sample"])
        assert (image.shape, image.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
        expected = Image.open(scenes / row["image"]).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(image, np.asarray(expected))
    assert not images


def test_an_unlabelled_drive_has_images_and_no_masks(shards: Shards) -> None:
    assert list((shards.folder / "test").glob("*.image.npy"))
    assert not list((shards.folder / "test").glob("*.mask.npy"))
    assert shards.class_pixels["test"] == [0] * 8


def test_pixels_are_counted_as_they_stand_in_the_masks(shards: Shards) -> None:
    for split in ("train", "val"):
        masks = np.concatenate([shards.pair(split, drive)[1] for drive in shards.drives(split)])
        assert sum(shards.class_pixels[split]) == masks.size
        by_id = np.bincount(masks.ravel(), minlength=256)
        assert shards.class_pixels[split] == [*by_id[:7], by_id[255]]


def test_the_index_has_a_row_for_each_sample_with_its_digests_and_boxes(
    shards: Shards, rows: list[dict[str, Any]]
) -> None:
    assert len(shards.index) == len(rows) == 36
    by_sample = {row["sample"]: row for row in rows}
    for entry in pq.read_table(shards.folder / "index.parquet").to_pylist():
        row = by_sample[entry["sample"]]
        assert (entry["image_sha"], entry["mask_sha"]) == (row["image_sha"], row.get("mask_sha"))
        assert (entry["split"], entry["drive"]) == (row["split"], row["drive"])
        assert entry["source"] == [0, 0, row["height"], row["width"]]
        assert entry["content"] == [0, 0, HEIGHT, WIDTH]


def test_rows_of_a_drive_are_numbered_from_zero(shards: Shards) -> None:
    for (split, drive), group in shards.index.groupby(["split", "drive"]):
        assert sorted(group["row"]) == list(range(len(np.load(shards.folder / split / f"{drive}.image.npy"))))


def test_a_second_run_with_other_workers_gives_equal_bytes(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = contents(tree / "data/shards")
    monkeypatch.chdir(tree)
    monkeypatch.setenv("ROADSEG_WORKERS", "2")
    (tree / "data/shards").rename(tree / "data/before")
    run(preprocess=PreprocessParams(height=HEIGHT, width=WIDTH))
    assert contents(tree / "data/shards") == first
    assert set(Shards.open(tree / "data/shards").files) == {name for name in first if name.endswith(".npy")}


def test_samples_without_a_drive_are_sharded_by_their_images_digest(rows: list[dict[str, Any]]) -> None:
    loose = [row | {"drive": None} for row in rows]
    groups = by_shard(loose)
    assert sorted(row["sample"] for _, _, group in groups for row in group) == sorted(row["sample"] for row in rows)
    for split, shard, group in groups:
        assert {(row["split"], f"_{row['image_sha'][:2]}") for row in group} == {(split, shard)}


def test_shards_do_not_depend_on_the_order_of_the_rows(rows: list[dict[str, Any]]) -> None:
    assert by_shard(rows[::-1]) == by_shard(rows)


def test_a_sample_without_mask_beside_labelled_ones_is_void_and_ids_outside_are_too(
    tmp_path: Path, idd_level1: ClassTable
) -> None:
    Image.new("RGB", (8, 4), "white").save(tmp_path / "image.png")
    Image.fromarray(np.array([[6, 9], [7, 254]], np.uint8)).save(tmp_path / "mask.png")
    row = {"sample": "test/a b/1", "split": "test", "drive": "a b", "image": "image.png", "mask": "mask.png"}
    row |= {"image_sha": digest_file(tmp_path / "image.png"), "mask_sha": None, "phash": None, "height": 4, "width": 8}
    (group,) = by_shard([row, row | {"sample": "test/a b/2", "mask": None}])
    _, pixels = encode(tmp_path, tmp_path / "shards", group, idd_level1, 2, 2)
    masks = np.load(tmp_path / "shards/test/a%20b.mask.npy")
    assert masks.tolist() == [[[6, 255], [255, 255]], [[255, 255], [255, 255]]]
    assert pixels.tolist() == [0, 0, 0, 0, 0, 0, 1, 7]
