import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import digest_file
from roadseg.contracts.framing import Framing
from roadseg.contracts.manifest import from_rows
from roadseg.contracts.shards import Shards
from roadseg.preprocess.drives import Drives
from roadseg.preprocess.encode import encode
from roadseg.preprocess.stage import PreprocessParams, run

HEIGHT, WIDTH = 80, 112  # so large that a scene is decoded in full
PARAMS = PreprocessParams(height=HEIGHT, width=WIDTH, aspect="stretch", tile=0)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, make_tree: Callable[..., Path], rows: list[dict[str, Any]]) -> Path:
    """A folder in which preprocess has run over all scenes."""
    folder = make_tree(tmp_path_factory.mktemp("preprocess"), rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("ROADSEG_HOME", str(folder / "home"))
        patch.setenv("ROADSEG_WORKERS", "1")
        run(preprocess=PARAMS)
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
    run(preprocess=PARAMS)
    assert contents(tree / "data/shards") == first
    assert set(Shards.open(tree / "data/shards").files) == {name for name in first if name.endswith(".npy")}


def drives_of(rows: list[dict[str, Any]], classes: ClassTable) -> Drives:
    return Drives.of(from_rows(rows, "idd-lite", classes).rows)


def test_samples_without_a_drive_are_sharded_by_their_images_digest(
    rows: list[dict[str, Any]], idd_level1: ClassTable
) -> None:
    drives = drives_of([row | {"drive": None} for row in rows], idd_level1)
    groups = {name: drives.samples(number) for number, name in enumerate(drives.names)}
    assert sorted(row["sample"] for group in groups.values() for row in group) == sorted(row["sample"] for row in rows)
    for name, group in groups.items():
        assert {f"{row['split']}/_{row['image_sha'][:2]}" for row in group} == {name}


def test_drives_do_not_depend_on_the_order_of_the_rows(rows: list[dict[str, Any]], idd_level1: ClassTable) -> None:
    table = from_rows(rows, "idd-lite", idd_level1).rows
    one, other = Drives.of(table), Drives.of(table.take(list(range(len(rows)))[::-1]))
    assert (one.names, one.starts) == (other.names, other.starts)
    assert one.rows.read().equals(other.rows.read())


def test_a_sample_without_mask_beside_labelled_ones_is_void_and_ids_outside_are_too(
    tmp_path: Path, idd_level1: ClassTable
) -> None:
    Image.new("RGB", (8, 4), "white").save(tmp_path / "image.png")
    Image.fromarray(np.array([[6, 9], [7, 254]], np.uint8)).save(tmp_path / "mask.png")
    row = described(tmp_path, 4, 8)
    encoded = encode(tmp_path, [row, row | {"mask": None}], tmp_path, idd_level1, Framing(2, 2))
    assert np.load(tmp_path / "mask.npy").tolist() == [[[6, 255], [255, 255]], [[255, 255], [255, 255]]]
    assert encoded.pixels == [0, 0, 0, 0, 0, 0, 1, 7]
    assert encoded.digests == {kind: digest_file(tmp_path / f"{kind}.npy") for kind in ("image", "mask")}


def frame(folder: Path, height: int, width: int) -> dict[str, Any]:
    """A picture of noise with a mask of noise."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(1, 256, (height, width, 3), np.uint8)).save(folder / "image.png")
    Image.fromarray(rng.integers(0, 7, (height, width), np.uint8)).save(folder / "mask.png")
    return described(folder, height, width)


def described(folder: Path, height: int, width: int) -> dict[str, Any]:
    """The manifest's row of the picture in a folder."""
    digests = {f"{kind}_sha": digest_file(folder / f"{kind}.png") for kind in ("image", "mask")}
    return {"image": "image.png", "mask": "mask.png", "height": height, "width": width, **digests}


def test_padding_is_black_in_the_image_and_void_in_the_mask(tmp_path: Path, idd_level1: ClassTable) -> None:
    encode(tmp_path, [frame(tmp_path, 10, 40)], tmp_path, idd_level1, Framing(32, 48, "pad"))
    images, masks = np.load(tmp_path / "image.npy")[0], np.load(tmp_path / "mask.npy")[0]
    content = np.zeros((32, 48), bool)
    content[10:22] = True  # 40x10 at 48x12, in the middle of 32 rows
    assert (images[~content] == 0).all()
    assert (images[content] > 0).all()
    np.testing.assert_array_equal(masks == 255, ~content)


def test_a_frame_of_the_canvas_s_size_is_cut_and_not_changed(tmp_path: Path, idd_level1: ClassTable) -> None:
    encode(tmp_path, [frame(tmp_path, 48, 96)], tmp_path, idd_level1, Framing(16, 32, tile=3))
    for kind in ("image", "mask"):
        whole = np.asarray(Image.open(tmp_path / f"{kind}.png"))
        tiles = np.load(tmp_path / f"{kind}.npy")
        rows = [np.concatenate(tiles[number : number + 3], 1) for number in (0, 3, 6)]
        np.testing.assert_array_equal(np.concatenate(rows), whole)


@pytest.mark.parametrize("framing", [Framing(16, 32, tile=2), Framing(32, 16, "pad"), Framing(16, 32, "pad", 3)])
def test_each_tile_in_the_index_has_its_pixels_in_the_shard(
    tmp_path: Path, rows: list[dict[str, Any]], scenes: Path, idd_level1: ClassTable, framing: Framing
) -> None:
    drives = drives_of(rows, idd_level1)
    index = drives.index(framing).to_pylist()
    for number, name in enumerate(drives.names):
        encode(scenes, drives.samples(number), tmp_path, idd_level1, framing)
        tiles = [entry for entry in index if f"{entry['split']}/{entry['drive']}" == name]
        images = np.load(tmp_path / "image.npy")
        assert [entry["row"] for entry in tiles] == list(range(len(images)))
        for entry, image in zip(tiles, images, strict=True):
            y0, x0, y1, x1 = entry["content"]
            assert image[y0:y1, x0:x1].any()
            image[y0:y1, x0:x1] = 0
            assert not image.any()


def test_memory_does_not_grow_with_the_length_of_a_drive(tmp_path: Path, idd_level1: ClassTable) -> None:
    row = frame(tmp_path, 32, 32)
    peaks = []
    for count in (4, 64):
        tracemalloc.start()
        encode(tmp_path, [row] * count, tmp_path, idd_level1, Framing(256, 256))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 256 * 256 * 3  # 60 images more, and not one of them held
