import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from trees import scan_params

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import digest_file
from roadseg.contracts.manifest import read_manifest
from roadseg.scan.describe import describe as describe_samples
from roadseg.scan.interpolation import interpolation
from roadseg.scan.layouts.found import Found
from roadseg.scan.stage import run
from roadseg.scan.statistics import perceptual_hash

FOUND = Found("train", "12", "1", "image.png", "mask.png")
MASK = np.array([[0, 0, 1], [6, 255, 255]], np.uint8)
OF_IMAGE = {"height", "width", "brightness", "contrast", "sharpness", "phash"}
OF_MASK = {"mask_height", "mask_width", "class_pixels", "invalid_ids", "interpolation"}
Describe = Callable[[np.ndarray, np.ndarray], dict[str, Any]]


def facts(root: Path, found: Found, classes: ClassTable) -> dict[str, Any]:
    (row,) = describe_samples(root, [found], classes)
    return row


@pytest.fixture
def describe(tmp_path: Path, idd_level1: ClassTable, monkeypatch: pytest.MonkeyPatch) -> Describe:
    """The facts of an image and a mask, as files in `tmp_path`."""
    monkeypatch.setenv("ROADSEG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ROADSEG_WORKERS", "1")

    def described(image: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
        Image.fromarray(image).save(tmp_path / "image.png")
        Image.fromarray(mask).save(tmp_path / "mask.png")
        return facts(tmp_path, FOUND, idd_level1)

    return described


def grey(level: int, height: int = 20, width: int = 30) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def test_a_sample_is_described_by_its_names_sizes_and_digests(describe: Describe, tmp_path: Path) -> None:
    row = describe(grey(9), MASK)
    assert (row["sample"], row["drive"], row["split"]) == ("train/12/1", "12", "train")
    assert (row["image"], row["mask"], row["error"]) == ("image.png", "mask.png", None)
    assert (row["height"], row["width"], row["mask_height"], row["mask_width"]) == (20, 30, 2, 3)
    assert row["image_sha"] == digest_file(tmp_path / "image.png")
    assert row["mask_sha"] == digest_file(tmp_path / "mask.png")


def test_pixels_are_counted_by_class_with_void_last(describe: Describe) -> None:
    row = describe(grey(9), MASK)
    assert row["class_pixels"] == [2, 1, 0, 0, 0, 0, 1, 2]
    assert row["invalid_ids"] == []


def test_ids_outside_the_table_are_named_and_counted_as_void(describe: Describe) -> None:
    row = describe(grey(9), np.array([[0, 9, 14], [9, 7, 255]], np.uint8))
    assert row["invalid_ids"] == [7, 9, 14]
    assert row["class_pixels"] == [1, 0, 0, 0, 0, 0, 0, 5]


@pytest.mark.parametrize(("level", "brightness"), [(0, 0.0), (255, 1.0), (51, 0.2)])
def test_an_image_of_one_grey_has_its_brightness_and_no_contrast_or_edges(
    describe: Describe, level: int, brightness: float
) -> None:
    row = describe(grey(level, 227, 320), MASK)
    assert row["brightness"] == pytest.approx(brightness, abs=1e-6)
    assert 0 <= row["brightness"] <= 1
    assert row["contrast"] == pytest.approx(0, abs=1e-6)
    assert row["sharpness"] == pytest.approx(0, abs=1e-3)


def test_half_black_and_half_white_has_the_middle_brightness_and_all_the_contrast(describe: Describe) -> None:
    row = describe(np.concatenate([grey(0), grey(255)]), MASK)
    assert row["brightness"] == pytest.approx(0.5, abs=1e-6)
    assert row["contrast"] == pytest.approx(0.5, abs=1e-6)


def test_sharpness_is_the_variance_of_the_laplacian(describe: Describe) -> None:
    dot = grey(0, 7, 9)
    dot[3, 4] = 100
    laplacian = np.zeros((5, 7))
    laplacian[2, 3], laplacian[[1, 3, 2, 2], [3, 3, 2, 4]] = -400, 100
    assert describe(dot, MASK)["sharpness"] == pytest.approx(laplacian.var(), rel=1e-4)


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (9, 2)])
def test_an_image_too_small_for_edges_is_described(describe: Describe, size: tuple[int, int]) -> None:
    assert describe(grey(9, *size), MASK)["sharpness"] == 0


@pytest.mark.parametrize(
    ("broken", "lost", "kept"), [("image.png", OF_IMAGE, OF_MASK), ("mask.png", OF_MASK, OF_IMAGE)]
)
def test_a_broken_file_is_named_with_its_reason_and_the_others_facts_stay(
    describe: Describe, tmp_path: Path, idd_level1: ClassTable, broken: str, lost: set[str], kept: set[str]
) -> None:
    whole = describe(grey(9), MASK)
    (tmp_path / broken).write_bytes((tmp_path / broken).read_bytes()[:50])
    row = facts(tmp_path, FOUND, idd_level1)
    assert row["error"].startswith(f"{broken}: ")
    assert not lost & row.keys()
    assert {key: row[key] for key in kept} == {key: whole[key] for key in kept}


def test_two_broken_files_are_both_named(describe: Describe, tmp_path: Path, idd_level1: ClassTable) -> None:
    (tmp_path / "image.png").write_bytes(b"")
    Image.fromarray(grey(9) * np.array([1, 0, 0], np.uint8)).save(tmp_path / "mask.png")
    row = facts(tmp_path, FOUND, idd_level1)
    assert row["error"] == "image.png: not a picture in a known format; mask.png: has mode RGB: a mask has one " + (
        "channel of class ids, not colours; a class table with `source: color` reads colours"
    )


@pytest.mark.parametrize(("image", "mask", "absent"), [(None, "mask.png", OF_IMAGE), ("image.png", None, OF_MASK)])
def test_a_file_that_is_not_there_has_no_facts_and_is_no_error(
    describe: Describe, tmp_path: Path, idd_level1: ClassTable, image: str | None, mask: str | None, absent: set[str]
) -> None:
    describe(grey(9), MASK)
    row = facts(tmp_path, Found("train", "12", "1", image, mask), idd_level1)
    assert row["error"] is None
    assert not absent & row.keys()


@pytest.mark.parametrize("name", ["image.png", "mask.png"])
def test_a_file_that_is_gone_is_named(describe: Describe, tmp_path: Path, idd_level1: ClassTable, name: str) -> None:
    describe(grey(9), MASK)
    (tmp_path / name).unlink()
    assert facts(tmp_path, FOUND, idd_level1)["error"] == f"{name}: the file is missing"


def scene() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (5, 8)).repeat(40, 0).repeat(40, 1).astype(np.float32)


def distance(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def test_a_picture_keeps_its_hash_when_it_is_resized_or_brighter_and_another_has_another() -> None:
    hashed = perceptual_hash(scene())
    assert distance(hashed, perceptual_hash(scene()[::2, ::2])) <= 4
    assert distance(hashed, perceptual_hash(scene() * 0.9 + 10)) <= 4
    assert distance(hashed, perceptual_hash(scene()[:, ::-1].copy())) > 16


def regions(seed: int, height: int = 227, width: int = 320) -> np.ndarray:
    """Blobs of classes 0 to 6, with edges in all directions."""
    coarse = np.random.default_rng(seed).normal(size=(8, 10)).astype(np.float32)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    order = np.array([0, 4, 1, 6, 2, 5, 3], np.uint8)  # so that neighbours differ by more than one
    return order[np.digitize(smooth, np.quantile(smooth, np.arange(1, 7) / 7))]


@pytest.mark.parametrize("size", [(128, 128), (256, 128), (320, 224), (640, 454)])
@pytest.mark.parametrize("filter_", ["BILINEAR", "BICUBIC", "LANCZOS", "NEAREST"])
def test_interpolating_filters_leave_evidence_and_nearest_neighbour_does_not(
    filter_: str, size: tuple[int, int]
) -> None:
    resized = np.asarray(Image.fromarray(regions(0)).resize(size, Image.Resampling[filter_]))
    found = interpolation(resized)
    assert found is not None
    assert found < 0.05 if filter_ == "NEAREST" else found > 0.15


def outlined(mask: np.ndarray, line: int) -> np.ndarray:
    """A mask with a class one pixel wide along every edge, as a curb."""
    edge = np.zeros(mask.shape, bool)
    edge[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    edge[1:] |= mask[1:] != mask[:-1]
    return np.where(edge, np.uint8(line), mask)


@pytest.mark.parametrize(
    "mask",
    [
        outlined(np.where(regions(0) >= 3, np.uint8(2), np.uint8(0)), 1),
        outlined(np.where(regions(0) == 3, np.uint8(4), regions(0)), 3),
        outlined(regions(0), 3),
    ],
    ids=["the only class between two", "between many classes", "also in the large"],
)
def test_a_true_class_one_pixel_wide_is_no_evidence(mask: np.ndarray) -> None:
    for one in (mask, mask.T):
        found = interpolation(one)
        assert found is not None
        assert found < 0.05
    small = Image.fromarray(mask).resize((200, 142), Image.Resampling.NEAREST)
    blurred = interpolation(np.asarray(small.resize((320, 227), Image.Resampling.BILINEAR)))
    assert blurred is None or mask.max() <= 2 or blurred > 0.15, "and a resized mask with such a class is found out"


def test_void_is_no_side_of_an_edge_and_a_mask_of_two_classes_tells_nothing() -> None:
    mask = regions(0)
    holed = np.where(regions(1) == 3, np.uint8(255), mask)
    assert interpolation(holed) == pytest.approx(interpolation(mask), abs=0.05)
    assert interpolation(mask % 2) is None


def test_a_scan_holds_every_sample_and_equal_data_give_equal_bytes(
    scenes: Path, idd_level1: ClassTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(scenes, "data/raw")
    idd_level1.write(Path("data/classes.yaml"))
    (broken, *_) = sorted(Path("data/raw/leftImg8bit/val").glob("*/*.jpg"))
    broken.write_bytes(broken.read_bytes()[:900])
    scans = []
    for workers in ("1", "2"):
        monkeypatch.setenv("ROADSEG_WORKERS", workers)
        monkeypatch.setenv("ROADSEG_HOME", str(tmp_path / workers))
        run(scan=scan_params())
        scans.append(Path("data/scan.parquet").read_bytes())
    assert scans[0] == scans[1]
    rows = read_manifest(Path("data/scan.parquet"), "scan").records()
    assert len(rows) == 36
    (error,) = [row["error"] for row in rows if row["error"]]
    assert error.startswith(broken.relative_to("data/raw").as_posix() + ": cannot be decoded")
    assert all(sum(row["class_pixels"]) == 227 * 320 for row in rows if row["mask"])
    assert {row["dataset"] for row in rows} == {None}
    run(scan=scan_params(dataset="scenes"))
    rows = read_manifest(Path("data/scan.parquet"), "scan").records()
    assert {row["dataset"] for row in rows} == {"scenes"}
    assert "36 samples in layout idd-lite, 1 with a file that cannot be read" in capsys.readouterr().out
