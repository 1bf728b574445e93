"""Lists of splits as people write them."""

from pathlib import Path

import pytest
from small_sets import by_number, found_in, named, put

from roadseg.contracts.errors import DataRefused

FIRST, LAST, LATER = range(8), range(8, 12), range(50, 54)


def listing(numbers: range, line: str = "{}", end: str = "\n") -> str:
    return "".join(line.format(number) + end for number in numbers)


LISTS = {
    "valid": ("train.txt", "valid.txt", "{}", "utf-8", "\n"),
    "a mark": ("train.txt", "val.txt", "{}", "utf-8-sig", "\r\n"),
    "utf-16": ("train.txt", "val.txt", "images/{}.png", "utf-16", "\r\n"),
    "backslashes": ("train.txt", "val.txt", "images\\{}.png", "utf-8", "\n"),
    "commas": ("train.csv", "val.csv", "images/{0}.png,masks/{0}.png", "utf-8", "\n"),
    "tabs": ("splits/train.lst", "splits/val.lst", "images/{0}.png\tmasks/{0}.png", "utf-8", "\n"),
    "absolute": (
        "ImageSets/train.txt",
        "ImageSets/val.txt",
        "/srv/set/images/{0}.png /srv/set/masks/{0}.png",
        "utf-8",
        "\n",
    ),
    "comments": ("train_list.txt", "val_list.txt", "# about {0}\n./images/{0}.png", "utf-8", "\n"),
}


@pytest.mark.parametrize("case", LISTS)
def test_lists_are_read_as_people_write_them(tmp_path: Path, case: str) -> None:
    train, val, line, coding, end = LISTS[case]
    named(tmp_path, "images/{}.png", "masks/{}.png")
    put(tmp_path / train, listing(FIRST, line, end).encode(coding))
    put(tmp_path / val, listing(LAST, line, end).encode(coding))
    assert by_number(found_in(tmp_path)) == {"train": list(FIRST), "val": list(LAST)}


def test_a_path_with_spaces_is_read_whole_before_it_is_cut(tmp_path: Path) -> None:
    named(tmp_path, "images/a 1 {}.png", "masks/a 1 {}.png")
    put(tmp_path / "train.txt", listing(FIRST, "images/a 1 {0}.png masks/a 1 {0}.png".partition(" masks")[0]))
    put(tmp_path / "val.txt", listing(LAST, "a 1 {}"))
    assert found_in(tmp_path).splits() == {"train": 8, "val": 4}


@pytest.mark.parametrize("first", ["train", "trainval"])
def test_without_a_list_for_val_test_stays_test_and_val_is_made_of_the_rest(tmp_path: Path, first: str) -> None:
    named(tmp_path, "images/{}.png", "masks/{}.png")
    put(tmp_path / f"{first}.txt", listing(FIRST))
    put(tmp_path / "test.txt", listing(LAST))
    found = by_number(found_in(tmp_path))
    assert found["test"] == list(LAST)
    assert sorted(found["train"] + found["val"]) == list(FIRST)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.txt", "0\n1\n"),
        ("val.lst", "0\n"),
        ("metadata.csv", "image,split\n0.png,train\n"),
        ("splits.json", "{}"),
    ],
)
def test_what_says_a_part_of_a_split_is_named_and_not_passed_over(tmp_path: Path, name: str, content: str) -> None:
    named(tmp_path, "images/{}.png", "masks/{}.png")
    put(tmp_path / name, content)
    with pytest.raises(DataRefused, match=f"{name}: says something of a split.*set scan.split to drive"):
        found_in(tmp_path)


def test_lists_below_a_folder_are_found_and_unlisted_images_left_out(tmp_path: Path) -> None:
    named(tmp_path / "VOCdevkit", "VOC2012/JPEGImages/{}.jpg", "VOC2012/SegmentationClass/{}.png")
    named(tmp_path / "VOCdevkit", "VOC2012/JPEGImages/{}.jpg", "", LATER)
    for name, numbers in (("train", FIRST), ("val", LAST), ("trainval", range(12))):
        put(tmp_path / f"VOCdevkit/VOC2012/ImageSets/Segmentation/{name}.txt", listing(numbers))
        put(tmp_path / f"VOCdevkit/VOC2012/ImageSets/Main/{name}.txt", "other_task 1\n")
    assert by_number(found_in(tmp_path)) == {"train": list(FIRST), "val": list(LAST)}
