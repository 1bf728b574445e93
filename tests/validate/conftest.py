"""A folder with a few scenes as data/raw, in which scan and validate run, and the faults that data can have."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roadseg.contracts.classes import ClassTable


def first(raw: Path, split: str) -> tuple[Path, Path]:
    """The first image of a split and its mask."""
    image = min((raw / "leftImg8bit" / split).glob("*/*"))
    return image, raw / "gtFine" / split / image.parent.name / image.name.replace("_image.jpg", "_label.png")


def truncated_image(raw: Path) -> Path:
    image, _ = first(raw, "train")
    image.write_bytes(image.read_bytes()[:2000])
    return image


def missing_mask(raw: Path) -> Path:
    image, mask = first(raw, "train")
    mask.unlink()
    return image


def mask_of_another_size(raw: Path) -> Path:
    _, mask = first(raw, "val")
    Image.open(mask).resize((160, 113), Image.Resampling.NEAREST).save(mask)
    return mask


def id_outside(raw: Path) -> Path:
    _, mask = first(raw, "train")
    ids = np.array(Image.open(mask))
    ids[0, 0] = 9
    Image.fromarray(ids).save(mask)
    return mask


def mask_of_colours(raw: Path) -> Path:
    _, mask = first(raw, "val")
    ids = np.asarray(Image.open(mask))
    Image.fromarray(np.stack([ids, ids, ids + 1], -1)).save(mask)
    return mask


def orphan_mask(raw: Path) -> Path:
    image, mask = first(raw, "train")
    image.unlink()
    return mask


def drive_in_two_splits(raw: Path) -> Path:
    image, _ = first(raw, "train")
    drive = first(raw, "val")[0].parent.name
    for kind in ("leftImg8bit", "gtFine"):
        (raw / kind / "val" / drive).rename(raw / kind / "val" / image.parent.name)
    return image


def image_in_two_splits(raw: Path) -> Path:
    image, _ = first(raw, "train")
    shutil.copy(first(raw, "val")[0], image)
    return image


def image_saved_again_in_another_split(raw: Path) -> Path:
    image, _ = first(raw, "train")
    Image.open(first(raw, "val")[0]).save(image, quality=60)
    return image


def interpolated_mask(raw: Path) -> Path:
    _, mask = first(raw, "train")
    ids = Image.open(mask)
    small = ids.resize((200, 140), Image.Resampling.NEAREST)
    Image.fromarray(np.minimum(np.asarray(small.resize(ids.size, Image.Resampling.BILINEAR)), 6)).save(mask)
    return mask


def mask_as_jpeg(raw: Path) -> Path:
    _, mask = first(raw, "val")
    Image.new("L", (320, 227), 3).save(mask.with_suffix(".jpg"), quality=100)
    mask.unlink()
    return mask.with_suffix(".jpg")


def disguised_mask(raw: Path) -> Path:
    _, mask = first(raw, "val")
    Image.new("L", (320, 227), 3).save(mask, format="JPEG", quality=100)
    return mask


def tiff_of_jpeg(raw: Path) -> Path:
    _, mask = first(raw, "train")
    Image.open(mask).save(mask.with_suffix(".tif"), compression="jpeg", quality=100)
    mask.unlink()
    return mask.with_suffix(".tif")


def empty_image(raw: Path) -> Path:
    image, _ = first(raw, "val")
    image.write_bytes(b"")
    return image


def text_for_an_image(raw: Path) -> Path:
    image, _ = first(raw, "train")
    image.write_text("<html>404</html>")
    return image


def truncated_mask(raw: Path) -> Path:
    _, mask = first(raw, "train")
    mask.write_bytes(mask.read_bytes()[:-30])
    return mask


def second_file_of_a_sample(raw: Path) -> Path:
    image, mask = first(raw, "val")
    for path in (image, mask):
        Image.open(path).save(path.with_suffix(".bmp"))
    return image


FAULTS = [
    (truncated_image, "files_decode", "cannot be decoded: "),
    (missing_mask, "mask_present", "its mask is missing; add it"),
    (mask_of_another_size, "mask_size", "is 160x113 and its image 320x227; both must be of one size"),
    (
        id_outside,
        "ids_in_table",
        "holds ids outside idd-level1: 9 (masks that hold them: 9 in 1); "
        "import with another --classes or repair the mask",
    ),
    (mask_of_colours, "files_decode", "has mode RGB: a mask has one channel of class ids, not colours"),
    (orphan_mask, "image_present", "no image belongs to this mask; add or remove it"),
    (drive_in_two_splits, "drive_in_one_split", "is also in another split ("),
    (image_in_two_splits, "image_in_one_split", "the same image is also in another split ("),
    (
        image_saved_again_in_another_split,
        "near_duplicate",
        "nearly the same image is in another split (",
    ),
    (interpolated_mask, "mask_not_interpolated", "of its edges pass through ids between their two sides"),
    (mask_as_jpeg, "mask_lossless", "a JPEG changes class ids at every edge; export the masks anew as PNG"),
    (disguised_mask, "files_decode", "is a JPEG whatever its name"),
    (tiff_of_jpeg, "files_decode", "is a TIFF of JPEG whatever its name"),
    (empty_image, "files_decode", "not a picture in a known format"),
    (text_for_an_image, "files_decode", "not a picture in a known format"),
    (truncated_mask, "files_decode", "cannot be decoded: "),
    (second_file_of_a_sample, "sample_unique", "a second file is the same sample; rename one"),
]


@pytest.fixture
def raw(tmp_path: Path, scenes: Path, idd_level1: ClassTable, monkeypatch: pytest.MonkeyPatch) -> Path:
    """data/raw of the current folder: two scenes of each drive; change it as you like."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROADSEG_WORKERS", "1")
    for drive in sorted(scenes.glob("leftImg8bit/*/*")):
        for image in sorted(drive.iterdir())[:2]:
            mask = Path(str(image).replace("leftImg8bit", "gtFine").replace("_image.jpg", "_label.png"))
            for path in filter(Path.exists, (image, mask)):
                target = "data/raw" / path.relative_to(scenes)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    idd_level1.write(Path("data/classes.yaml"))
    monkeypatch.setenv("ROADSEG_HOME", str(tmp_path / "home"))
    Path("data/quarantine.csv").write_text("sample,image_sha,reason\n")
    Path("data/reference.json").write_text("{}\n")
    return Path("data/raw")


@pytest.fixture(params=range(len(FAULTS)), ids=[broken.__name__ for broken, _, _ in FAULTS])
def fault(request: pytest.FixtureRequest) -> tuple[Callable[[Path], Path], str, str]:
    """What breaks data/raw and returns the file that is named, the expectation that fails, and the reason."""
    return FAULTS[request.param]
