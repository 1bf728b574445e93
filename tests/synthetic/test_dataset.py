import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roadseg.contracts.confusion import confusion, mean_iou
from roadseg.synthetic.dataset import FRAMES_PER_DRIVE, generate

CLASSES, VOID = 7, 255


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """128 train and 32 val scenes with seed 0, and 9 test images."""
    destination = tmp_path_factory.mktemp("scenes") / "raw"
    generate(destination, train=128, val=32, test=9, seed=0)
    return destination


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def masks(scenes: Path, split: str) -> np.ndarray:
    """The masks of a split, uint8 (N, 227, 320)."""
    return np.stack([np.asarray(Image.open(path)) for path in sorted((scenes / "gtFine" / split).glob("*/*.png"))])


def at_official_size(stack: np.ndarray) -> np.ndarray:
    return np.stack([np.asarray(Image.fromarray(one).resize((256, 128), Image.Resampling.NEAREST)) for one in stack])


@pytest.mark.parametrize(("split", "count"), [("train", 128), ("val", 32), ("test", 9)])
def test_images_and_masks_lie_where_idd_lite_has_them(scenes: Path, split: str, count: int) -> None:
    images = {path.relative_to(scenes / "leftImg8bit") for path in (scenes / "leftImg8bit" / split).rglob("*.*")}
    labels = {path.relative_to(scenes / "gtFine") for path in (scenes / "gtFine" / split).rglob("*.*")}
    expected = {path.with_name(path.name.replace("_image.jpg", "_label.png")) for path in images}
    assert len(images) == count
    assert labels == (set() if split == "test" else expected)
    for image in images:
        drive, name = image.parts[1:]
        assert drive.isdecimal()
        number = name.removesuffix("_image.jpg")
        assert number.removeprefix("frame").isdecimal()
        assert number.startswith("frame") or len(number) in (6, 7)


def test_nothing_else_is_written_but_the_arguments(scenes: Path) -> None:
    assert {path.name for path in scenes.iterdir()} == {"leftImg8bit", "gtFine", "synthetic.json"}
    text = (scenes / "synthetic.json").read_text(encoding="utf-8")
    made_with = json.loads(text)
    assert list(made_with) == sorted(made_with)
    assert made_with.pop("generator") >= 1
    assert made_with == {"schema": "roadseg/synthetic/1", "train": 128, "val": 32, "test": 9, "seed": 0}


def test_images_are_rgb_jpegs_and_masks_grey_pngs_of_one_size(scenes: Path) -> None:
    for path in scenes.glob("*/*/*/*"):
        with Image.open(path) as image:
            expected = ("JPEG", "RGB") if path.suffix == ".jpg" else ("PNG", "L")
            assert (image.format, image.mode, image.size) == (*expected, (320, 227)), path


def test_ids_are_the_seven_classes_and_void(scenes: Path) -> None:
    assert set(np.unique(masks(scenes, "train"))) == {*range(CLASSES), VOID}
    assert set(np.unique(masks(scenes, "val"))) <= {*range(CLASSES), VOID}


def test_class_shares_are_near_those_of_idd_lite(scenes: Path) -> None:
    counts = np.bincount(masks(scenes, "train").ravel(), minlength=256)[:CLASSES]
    percent = 100 * counts / counts.sum()
    least, most = (26, 2, 1, 5, 7, 20, 15), (40, 6, 3, 12, 13, 32, 25)
    assert (percent >= least).all(), percent
    assert (percent <= most).all(), percent


def test_void_is_a_few_pixels_in_about_two_thirds_of_the_masks(scenes: Path) -> None:
    void = (masks(scenes, "train") == VOID).mean(axis=(1, 2))
    assert 0.5 < (void > 0).mean() < 0.8
    assert 0.0001 < void.mean() < 0.001
    assert void.max() < 0.005


def test_the_most_frequent_class_of_each_pixel_is_a_poor_answer(scenes: Path) -> None:
    train, truth = (at_official_size(masks(scenes, split)) for split in ("train", "val"))
    mode = np.stack([(train == label).sum(axis=0) for label in range(CLASSES)]).argmax(axis=0).astype(np.uint8)
    score = mean_iou(np.sum([confusion(one, mode, CLASSES) for one in truth], axis=0))
    assert 0.15 < score < 0.40


def test_no_drive_is_in_two_splits_and_no_image_occurs_twice(scenes: Path) -> None:
    drives = [path.name for path in scenes.glob("leftImg8bit/*/*")]
    assert len(drives) == 128 // FRAMES_PER_DRIVE + 32 // FRAMES_PER_DRIVE + 2
    assert len(drives) == len(set(drives))
    images = [path.read_bytes() for path in scenes.glob("leftImg8bit/*/*/*.jpg")]
    assert len(images) == len(set(images))


def test_equal_arguments_give_equal_bytes_and_another_seed_other_scenes(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        generate(tmp_path / name, train=2, val=1, test=1, seed=seed)
    one, again, other = (contents(tmp_path / name) for name in ("one", "again", "other"))
    assert one == again
    assert not set(one.values()) & set(other.values())


def test_a_frame_does_not_depend_on_how_many_there_are(scenes: Path, tmp_path: Path) -> None:
    generate(tmp_path / "few", train=FRAMES_PER_DRIVE + 1, val=1, test=2, seed=0)
    few, many = contents(tmp_path / "few"), contents(scenes)
    del few["synthetic.json"]
    assert len(few) == 2 * (FRAMES_PER_DRIVE + 1) + 2 + 2
    assert few.items() <= many.items()


def test_progress_is_called_once_per_image(tmp_path: Path) -> None:
    calls: list[None] = []
    generate(tmp_path / "scenes", train=2, val=1, test=1, seed=0, progress=lambda: calls.append(None))
    assert len(calls) == 4


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    generate(tmp_path, train=1, val=0, test=0, seed=0)
    assert (tmp_path / "synthetic.json").is_file()


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photograph.jpg").write_bytes(b"mine")
    with pytest.raises(ValueError, match=re.escape(str(tmp_path))):
        generate(tmp_path, train=1, val=1, test=1, seed=0)
    assert contents(tmp_path) == {"photograph.jpg": b"mine"}


@pytest.mark.parametrize("wrong", ["train", "val", "test", "seed"])
def test_a_number_below_zero_is_refused_by_name(tmp_path: Path, wrong: str) -> None:
    train, val, test, seed = (-1 if name == wrong else 0 for name in ("train", "val", "test", "seed"))
    with pytest.raises(ValueError, match=wrong):
        generate(tmp_path / "scenes", train=train, val=val, test=test, seed=seed)
    assert not (tmp_path / "scenes").exists()
