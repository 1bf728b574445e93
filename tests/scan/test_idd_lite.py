from pathlib import Path

import pytest
from trees import touch

from roadseg.contracts.errors import DataRefused
from roadseg.scan.layouts.found import Found
from roadseg.scan.layouts.known import LAYOUTS, detect

find = LAYOUTS["idd-lite"].find


@pytest.mark.parametrize("number", ["000017", "0000170", "frame17", "frame0017", "a_b"])
def test_an_image_and_its_mask_are_one_sample_however_they_are_numbered(tmp_path: Path, number: str) -> None:
    image, mask = f"leftImg8bit/train/12/{number}_image.jpg", f"gtFine/train/12/{number}_label.png"
    touch(tmp_path, image, mask)
    assert find(tmp_path) == [Found("train", "12", number, image, mask)]
    assert find(tmp_path)[0].sample == f"train/12/{number}"


def test_an_instance_label_is_no_mask_and_no_sample(tmp_path: Path) -> None:
    touch(tmp_path, "leftImg8bit/train/12/1_image.jpg", "gtFine/train/12/1_inst_label.png")
    assert find(tmp_path) == [Found("train", "12", "1", "leftImg8bit/train/12/1_image.jpg", None)]
    touch(tmp_path, "gtFine/train/12/1_label.png")
    assert [found.mask for found in find(tmp_path)] == ["gtFine/train/12/1_label.png"]


def test_an_image_without_mask_and_a_mask_without_image_are_samples_too(tmp_path: Path) -> None:
    touch(tmp_path, "leftImg8bit/val/3/1_image.jpg", "gtFine/val/3/2_label.png")
    assert find(tmp_path) == [
        Found("val", "3", "1", "leftImg8bit/val/3/1_image.jpg", None),
        Found("val", "3", "2", None, "gtFine/val/3/2_label.png"),
    ]


def test_equal_numbers_in_other_drives_and_splits_are_other_samples(tmp_path: Path) -> None:
    for place in ("train/1", "train/2", "val/1"):
        touch(tmp_path, f"leftImg8bit/{place}/000001_image.jpg", f"gtFine/{place}/000001_label.png")
    assert [found.sample for found in find(tmp_path)] == ["train/1/000001", "train/2/000001", "val/1/000001"]
    assert all(found.image and found.mask for found in find(tmp_path))


def test_other_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "synthetic.json",
        "leftImg8bit/train/readme.txt",
        "leftImg8bit/train/12/1_thumbnail.jpg",
        "leftImg8bit/other/12/1_image.jpg",
    )
    (tmp_path / "leftImg8bit/train/12/2_image.jpg").mkdir()
    assert find(tmp_path) == []


def test_images_may_be_of_another_format(tmp_path: Path) -> None:
    touch(tmp_path, "leftImg8bit/train/12/1_image.png")
    assert [found.image for found in find(tmp_path)] == ["leftImg8bit/train/12/1_image.png"]


def test_two_images_of_one_name_are_both_found(tmp_path: Path) -> None:
    touch(tmp_path, *(f"leftImg8bit/val/3/1_image.{ending}" for ending in ("jpg", "png")), "gtFine/val/3/1_label.png")
    assert [(found.sample, found.image, found.mask) for found in find(tmp_path)] == [
        ("val/3/1", "leftImg8bit/val/3/1_image.jpg", "gtFine/val/3/1_label.png"),
        ("val/3/1", "leftImg8bit/val/3/1_image.png", None),
    ]


def test_generated_scenes_are_found_whole(scenes: Path) -> None:
    found = find(scenes)
    assert [sum(one.split == split for one in found) for split in ("train", "val", "test")] == [24, 8, 4]
    assert all(one.image and (one.mask or one.split == "test") for one in found)
    assert len({one.sample for one in found}) == 36


def test_idd_lite_is_known_by_its_images(tmp_path: Path, scenes: Path) -> None:
    assert detect(scenes) == "idd-lite"
    touch(tmp_path, "leftImg8bit/test/12/1_image.jpg")
    assert detect(tmp_path) == "idd-lite"


@pytest.mark.parametrize(
    ("names", "there"),
    [
        ([], "found: nothing"),
        (["b/1_label.png", "a.txt"], "found: a.txt, b"),
        (["top/camera/1.jpg"], "found: top"),
    ],
)
def test_another_layout_is_refused_with_what_is_there_and_what_is_known(
    tmp_path: Path, names: list[str], there: str
) -> None:
    touch(tmp_path, *names)
    with pytest.raises(DataRefused) as caught:
        detect(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path} ")
    assert there in str(caught.value)
    assert "idd-lite: leftImg8bit/<split>/<drive>/<id>_image.jpg" in str(caught.value)


def test_a_folder_that_does_not_exist_is_refused_as_such(tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match="no such folder"):
        detect(tmp_path / "nowhere")
