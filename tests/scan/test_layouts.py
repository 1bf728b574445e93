"""The layouts besides IDD Lite: what they find, and which of them a folder is known as."""

from pathlib import Path
from typing import get_args

import pytest
from trees import touch

from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.scan.layouts.found import Found
from roadseg.scan.layouts.known import LAYOUTS, detect, look
from roadseg.scan.stage import ScanParams

IMAGE = "leftImg8bit/train/7/1_leftImg8bit.png"
POLYGONS = "gtFine/train/7/1_gtFine_polygons.json"
BEST_FIRST = ["labelids", "labellevel3Ids", "labellevel2Ids", "labellevel4Ids", "labellevel1Ids"]
ONE_OF_EACH = {
    "idd-lite": ["leftImg8bit/train/7/1_image.jpg", "gtFine/train/7/1_label.png"],
    "idd-20k": [IMAGE, POLYGONS],
    "numbered": ["image_archive/Image_1.png", "mask_archive/Mask_1.png"],
    "folders": ["images/1.jpg", "masks/1.png"],
}


def masks(root: Path, layout: str) -> list[str | None]:
    return [found.mask for found in LAYOUTS[layout].find(root)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_known_by_looking_and_pairs_image_with_mask(tmp_path: Path, layout: str) -> None:
    touch(tmp_path, *ONE_OF_EACH[layout])
    assert detect(tmp_path) == layout
    assert look(tmp_path, "auto", "", "") == look(tmp_path, layout, "", "")
    (found,) = LAYOUTS[layout].find(tmp_path)
    assert [found.image, found.mask] == ONE_OF_EACH[layout]


def test_scan_may_be_told_every_layout_by_name() -> None:
    assert set(get_args(ScanParams.model_fields["layout"].annotation)) == {"auto", *LAYOUTS}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_that_does_not_fit_is_refused_by_name(tmp_path: Path, layout: str) -> None:
    touch(tmp_path, "something/else.txt")
    with pytest.raises(DataRefused, match=f"{tmp_path} is not laid out as {layout}: .*try `--layout auto`"):
        look(tmp_path, layout, "", "")


def test_an_unknown_layout_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no layout 'cityscapes': there are auto, idd-lite, idd-20k, numbered, fold"):
        look(tmp_path, "cityscapes", "", "")


@pytest.mark.parametrize("number", range(len(BEST_FIRST)))
def test_of_ready_label_pictures_that_to_most_levels_is_taken(tmp_path: Path, number: int) -> None:
    there = [f"gtFine/train/7/1_gtFine_{name}.png" for name in BEST_FIRST[number:]]
    touch(tmp_path, IMAGE, *there, "gtFine/train/7/1_gtFine_instanceids.png")
    assert LAYOUTS["idd-20k"].find(tmp_path) == [Found("train", "7", "1", IMAGE, there[0])]


def test_polygons_are_preferred_to_label_pictures(tmp_path: Path) -> None:
    touch(tmp_path, IMAGE, POLYGONS, *(f"gtFine/train/7/1_gtFine_{name}.png" for name in BEST_FIRST))
    assert masks(tmp_path, "idd-20k") == [POLYGONS]


def test_an_instance_file_is_no_mask(tmp_path: Path) -> None:
    touch(tmp_path, IMAGE, "gtFine/train/7/1_gtFine_instanceids.png", "gtFine/train/7/1_gtFine_instancelevel3Ids.png")
    assert masks(tmp_path, "idd-20k") == [None]


def test_parts_side_by_side_are_found_as_those_merged_into_one(tmp_path: Path) -> None:
    files = ["leftImg8bit/val/8/2_leftImg8bit.jpg", "gtFine/val/8/2_gtFine_polygons.json"]
    touch(tmp_path / "beside", *(f"IDD_Segmentation/{name}" for name in (IMAGE, POLYGONS)))
    touch(tmp_path / "beside", *(f"idd20kII/{name}" for name in files))
    touch(tmp_path / "merged", IMAGE, POLYGONS, *files)
    beside, merged = (LAYOUTS["idd-20k"].find(tmp_path / name) for name in ("beside", "merged"))
    assert [found.sample for found in beside] == [found.sample for found in merged] == ["train/7/1", "val/8/2"]
    assert all(found.image and found.mask for found in beside + merged)
    assert detect(tmp_path / "beside") == "idd-20k"


@pytest.mark.parametrize("layout", ["idd-20k", "folders"])
def test_what_has_no_partner_is_a_sample_too(tmp_path: Path, layout: str) -> None:
    image, mask = ONE_OF_EACH[layout]
    touch(tmp_path, image, mask.replace("1", "2"))
    found = LAYOUTS[layout].find(tmp_path)
    assert [(one.id, one.image, one.mask) for one in found] == [("1", image, None), ("2", None, mask.replace("1", "2"))]


def test_numbered_pairs_are_paired_by_number_not_by_order(tmp_path: Path) -> None:
    touch(tmp_path, *(f"a/Image_{n}.png" for n in (1, 2, 10)), *(f"b/Mask_{n}.png" for n in (10, 2, 3)))
    pairs = {found.id: (found.image, found.mask) for found in LAYOUTS["numbered"].find(tmp_path)}
    assert pairs == {
        "1": ("a/Image_1.png", None),
        "2": ("a/Image_2.png", "b/Mask_2.png"),
        "3": (None, "b/Mask_3.png"),
        "10": ("a/Image_10.png", "b/Mask_10.png"),
    }


def test_a_second_file_of_one_number_is_a_sample_of_its_own(tmp_path: Path) -> None:
    touch(tmp_path, "a/Image_1.png", "a/Image_01.png", "b/Mask_1.png")
    found = LAYOUTS["numbered"].find(tmp_path)
    assert [one.id for one in found] == ["1", "1"]


@pytest.mark.parametrize(
    ("image", "mask", "sample"),
    [
        ("images/1.jpg", "masks/1.png", "1"),
        ("JPEGImages/a_b.jpg", "SegmentationClass/a_b.png", "a_b"),
        ("img/frame_7.jpg", "labels/frame_7_label.png", "frame_7"),
        ("rgb/7_rgb.png", "gt/7_gt.png", "7"),
        ("images/training/5.jpg", "annotations/training/5.png", "train/5"),
        ("images/validation/5.jpg", "annotations/validation/5.png", "val/5"),
        ("train/images/5.jpg", "train/masks/5.png", "train/5"),
        ("images/test/north/5.jpg", "masks/test/north/5.png", "test/north/5"),
        ("valid/images/a/b/5.jpg", "valid/masks/a/b/5.png", "val/a/b/5"),
        ("north/images/5.jpg", "north/masks/5.png", "north/5"),
    ],
)
def test_folders_are_read_with_splits_and_drives_or_without(tmp_path: Path, image: str, mask: str, sample: str) -> None:
    touch(tmp_path, image, mask)
    (found,) = LAYOUTS["folders"].find(tmp_path)
    assert (found.image, found.mask, found.sample) == (image, mask, sample)


def test_what_belongs_to_no_data_set_is_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.jpg", "masks/1.png", "images/Thumbs.db", "images/.1.jpg", "readme.png")
    touch(tmp_path, "__MACOSX/images/1.jpg", "masks/1_inst_label.png", "masks/1_gtFine_instanceIds.png")
    assert len(LAYOUTS["folders"].find(tmp_path)) == 1


def test_a_pattern_says_where_split_drive_and_id_stand(tmp_path: Path) -> None:
    touch(tmp_path, "camera/north/training/x_5.jpg", "ids/north/training/5.v2.png", "camera/readme.txt")
    name, (found,) = look(tmp_path, "auto", "camera/{drive}/{split}/x_{id}.jpg", "ids/{drive}/{split}/{id}.*.png")
    assert name == "folders"
    assert found == Found("train", "north", "5", "camera/north/training/x_5.jpg", "ids/north/training/5.v2.png")


def test_a_field_that_stands_twice_must_be_equal(tmp_path: Path) -> None:
    touch(tmp_path, "a/north/north_5.jpg", "a/north/south_6.jpg", "b/north/5.png")
    _, found = look(tmp_path, "folders", "a/{drive}/{drive}_{id}.jpg", "b/{drive}/{id}.png")
    assert [one.sample for one in found] == ["north/5"]


@pytest.mark.parametrize(
    ("images", "masks", "kind", "said"),
    [
        ("a/{id}.jpg", "", UsageError, "scan.images and scan.masks: give both patterns or none"),
        ("a/{name}.jpg", "b/{id}.png", UsageError, r"scan.images: \{name\} in .* is none of split, drive, id"),
        ("a/{id}.jpg", "b/*.png", UsageError, r"scan.masks: .* has no \{id\}"),
        ("a/{id}.jpg", "c/{id}.png", DataRefused, r"no file fits scan.masks: 'c/\{id\}.png' in params.yaml"),
        ("{split}/{id}.jpg", "b/{id}.png", DataRefused, r"a/1.jpg: 'a' stands where the pattern has \{split\}"),
    ],
)
def test_a_faulty_pattern_is_refused_with_what_to_do(
    tmp_path: Path, images: str, masks: str, kind: type[Exception], said: str
) -> None:
    touch(tmp_path, "a/1.jpg", "b/1.png")
    with pytest.raises(kind, match=said):
        look(tmp_path, "auto", images, masks)


def test_a_dot_in_a_pattern_is_a_dot(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "a/2xjpg", "b/1.png")
    assert len(look(tmp_path, "auto", "a/{id}.jpg", "b/{id}.png")[1]) == 1
