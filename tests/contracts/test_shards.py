from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import digest_file
from roadseg.contracts.framing import Framing
from roadseg.contracts.shards import INDEX, ArrayWriter, Shards, shard_name, write_array, write_index

HEIGHT, WIDTH = 16, 32
PIXELS = {"train": [1, 2, 3, 4, 5, 6, 7, 8], "val": [0] * 8, "test": [0] * 8}


def row(sample: str, number: int) -> dict[str, Any]:
    split, drive = sample.split("/")[:2]
    box = [0, 0, HEIGHT, WIDTH]
    digests = {"image_sha": f"image of {sample}", "mask_sha": None, "phash": 7}
    return {
        "sample": sample,
        "split": split,
        "dataset": None if split == "test" else "idd",
        "drive": drive,
        "row": number,
        "source": box,
        "content": box,
    } | digests


ROWS = [row("train/a b/2", 1), row("train/a b/1", 0), row("val/c/1", 0), row("test/d/1", 0)]


def arrays(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, HEIGHT, WIDTH, 3), dtype=np.uint8)
    return images, rng.integers(0, 7, (count, HEIGHT, WIDTH), dtype=np.uint8)


def close(folder: Path, classes: ClassTable, rows: list[dict[str, Any]] = ROWS) -> Shards:
    write_index(folder, Framing(HEIGHT, WIDTH), classes, PIXELS, pa.Table.from_pylist(rows, INDEX))
    return Shards.open(folder)


@pytest.fixture
def shards(tmp_path: Path, idd_level1: ClassTable) -> Shards:
    """Two drives with masks and one without."""
    for name, count in (("train/a%20b", 2), ("val/c", 1), ("test/d", 1)):
        images, masks = arrays(count)
        write_array(tmp_path / f"{name}.image.npy", images)
        if not name.startswith("test"):
            write_array(tmp_path / f"{name}.mask.npy", masks)
    return close(tmp_path, idd_level1)


def test_what_was_written_is_read_equal(shards: Shards, idd_level1: ClassTable) -> None:
    assert (shards.height, shards.width, shards.classes) == (HEIGHT, WIDTH, idd_level1)
    assert shards.class_pixels == PIXELS
    images, masks = shards.pair("train", shard_name("a b", "00"))
    np.testing.assert_array_equal(images, arrays(2)[0])
    np.testing.assert_array_equal(masks, arrays(2)[1])


def test_the_index_is_sorted_by_sample_whatever_the_order_of_the_rows(shards: Shards) -> None:
    assert shards.index["sample"].tolist() == ["test/d/1", "train/a b/1", "train/a b/2", "val/c/1"]
    before = digest_file(shards.folder / "index.parquet")
    close(shards.folder, shards.classes, ROWS[::-1])
    assert digest_file(shards.folder / "index.parquet") == before


def test_shards_json_holds_the_digest_of_every_shard_file(shards: Shards) -> None:
    files = {path.relative_to(shards.folder).as_posix(): path for path in shards.folder.rglob("*.npy")}
    assert shards.files == {name: digest_file(path) for name, path in files.items()}
    assert len(shards.files) == 5


def test_the_digest_changes_with_any_pixel(shards: Shards) -> None:
    before = shards.digest
    images, _ = arrays(1)
    images[0, 3, 4, 1] ^= 1
    write_array(shards.folder / "test/d.image.npy", images)
    assert close(shards.folder, shards.classes).digest != before
    write_array(shards.folder / "test/d.image.npy", arrays(1)[0])
    assert close(shards.folder, shards.classes).digest == before


@pytest.mark.parametrize("rows", [1, 3])
def test_a_drive_with_another_number_of_tiles_than_its_index_is_named(shards: Shards, rows: int) -> None:
    for kind, array in zip(("image", "mask"), arrays(rows), strict=True):
        write_array(shards.folder / f"train/a%20b.{kind}.npy", array)
    said = f"a%20b: {rows} images and {rows} masks, 2 in index.parquet: run `dvc repro preprocess`"
    with pytest.raises(UsageError, match=said):
        shards.pair("train", "a%20b")


def test_tiles_without_a_drive_are_counted_by_their_image_s_digest(tmp_path: Path, idd_level1: ClassTable) -> None:
    shas = ["a7" + "0" * 62, "b8" + "0" * 62, "a7" + "1" * 62]
    rows = [row(f"train/x/{number}", number) | {"drive": None, "image_sha": sha} for number, sha in enumerate(shas)]
    shards = close(tmp_path, idd_level1, rows)
    assert shards.shard_names == ["_a7", "_b8", "_a7"]
    assert shards.tiles == {("train", "_a7"): 2, ("train", "_b8"): 1}


def test_what_preprocess_wrote_passes_the_check(shards: Shards) -> None:
    for split in ("train", "val", "test"):
        shards.check(split)


def test_a_file_of_the_right_shape_and_another_content_is_named(shards: Shards) -> None:
    path = shards.folder / "train/a%20b.mask.npy"
    write_array(path, arrays(2, seed=1)[1])
    with pytest.raises(UsageError, match=r"a%20b\.mask\.npy is not the file .* delete it and run `dvc repro preproc"):
        shards.check("train")
    shards.check("val")


def test_a_mask_file_that_is_gone_is_missed_and_its_drive_is_not_taken_for_unlabelled(shards: Shards) -> None:
    (shards.folder / "train/a%20b.mask.npy").unlink()
    assert shards.drives("train") == ["a%20b"]
    with pytest.raises(UsageError, match=r"a%20b\.mask\.npy is missing: run `dvc repro preprocess`"):
        shards.check("train")


def test_a_file_that_the_index_does_not_know_is_no_drive(shards: Shards) -> None:
    write_array(shards.folder / "train/left over.mask.npy", arrays(2)[1])
    assert shards.drives("train") == ["a%20b"]


def test_only_labelled_drives_are_listed(shards: Shards) -> None:
    assert [shards.drives(split) for split in ("train", "val", "test")] == [["a%20b"], ["c"], []]


def test_a_drive_is_percent_encoded_and_a_sample_without_one_goes_by_its_digest() -> None:
    assert shard_name("a/b%c d", "00ff") == "a%2Fb%25c%20d"
    assert shard_name("frame_1-2.x", "00ff") == "frame_1-2.x"
    assert shard_name(None, "a7ff") == "_a7"


@pytest.mark.parametrize(
    ("kind", "wrong", "said"),
    [
        ("image", np.zeros((2, WIDTH, HEIGHT, 3), np.uint8), r"a%20b\.image\.npy is uint8 \(2, 32, 16, 3\)"),
        ("image", np.zeros((2, HEIGHT, WIDTH, 3), np.float32), r"a%20b\.image\.npy is float32"),
        ("image", np.zeros((2, HEIGHT, WIDTH), np.uint8), r"a%20b\.image\.npy is uint8 \(2, 16, 32\)"),
        ("mask", np.zeros((2, HEIGHT, WIDTH, 1), np.uint8), r"a%20b\.mask\.npy is uint8 \(2, 16, 32, 1\)"),
        ("mask", np.zeros((2, HEIGHT, WIDTH), np.int64), r"a%20b\.mask\.npy is int64"),
        ("mask", np.zeros((1, HEIGHT, WIDTH), np.uint8), r"a%20b: 2 images and 1 masks"),
    ],
)
def test_a_shard_that_does_not_fit_is_named_with_what_to_run(
    shards: Shards, kind: str, wrong: np.ndarray, said: str
) -> None:
    write_array(shards.folder / f"train/a%20b.{kind}.npy", wrong)
    with pytest.raises(UsageError, match=said + ".*: run `dvc repro preprocess`"):
        shards.pair("train", "a%20b")


@pytest.mark.parametrize("damage", ["absent", "empty", "cut", "text"])
def test_a_shard_that_cannot_be_read_is_named_with_what_to_run(shards: Shards, damage: str) -> None:
    path = shards.folder / "train/a%20b.mask.npy"
    content = {"absent": None, "empty": b"", "cut": path.read_bytes()[:-9], "text": b"not numpy"}[damage]
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"a%20b\.mask\.npy cannot be read .*: run `dvc repro preprocess`"):
        shards.pair("train", "a%20b")


@pytest.mark.parametrize("name", ["shards.json", "index.parquet"])
@pytest.mark.parametrize("content", [None, b"", b"\xa5" * 99], ids=["absent", "empty", "damaged"])
def test_a_folder_that_is_not_closed_or_damaged_is_refused(shards: Shards, name: str, content: bytes | None) -> None:
    (shards.folder / name).unlink()
    if content is not None:
        (shards.folder / name).write_bytes(content)
    with pytest.raises(UsageError, match=f"(?s){name}.*run `dvc repro preprocess`"):
        Shards.open(shards.folder)


@given(st.lists(st.integers(0, 3), max_size=4), st.sampled_from([(2, 3), (2, 3, 3)]))
def test_an_array_written_part_by_part_has_the_bytes_that_numpy_saves(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], shape: tuple[int, ...]
) -> None:
    folder = tmp_path_factory.mktemp("arrays")
    array = np.random.default_rng(0).integers(0, 256, (sum(counts), *shape), np.uint8)
    with ArrayWriter(folder / "parts.npy", array.shape) as writer:
        for part in np.split(array, np.cumsum(counts)[:-1]) if counts else []:
            writer.append(part)
    np.save(folder / "whole.npy", array)
    assert (folder / "parts.npy").read_bytes() == (folder / "whole.npy").read_bytes()
    assert writer.digest == digest_file(folder / "whole.npy")


def test_how_frames_were_framed_comes_back(tmp_path: Path, idd_level1: ClassTable) -> None:
    write_index(tmp_path, Framing(16, 32, "pad", 2), idd_level1, PIXELS, pa.Table.from_pylist(ROWS, INDEX))
    assert Shards.open(tmp_path).framing == Framing(16, 32, "pad", 2)


def test_digests_that_are_known_are_not_computed_again(shards: Shards) -> None:
    files = {"train/c.image.npy": "0" * 64}
    write_index(shards.folder, shards.framing, shards.classes, PIXELS, pa.Table.from_pylist(ROWS, INDEX), files)
    assert Shards.open(shards.folder).files == files


def test_a_long_name_of_a_drive_is_cut_and_stays_its_own() -> None:
    names = [shard_name("\u8def" * 60 + end, "") for end in "ab"]
    assert all(len(name) < 220 for name in names)
    assert names[0] != names[1]
