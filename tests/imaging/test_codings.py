import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.imaging.codings import CODINGS, coding_of, how_coded
from roadseg.imaging.masks import read_classes
from roadseg.imaging.pixels import Undecodable


def read(folder: Path, ending: str, ids: list[int], table: str) -> tuple[list[int], list[int]]:
    path = folder / f"1{ending}"
    Image.fromarray(np.array([ids], np.uint8)).save(path)
    mask, outside = read_classes(path, ClassTable.find(table))
    return mask[0].tolist(), outside


@pytest.mark.parametrize(
    ("name", "coding"),
    [
        ("1_gtFine_labellevel3Ids.png", "level3"),
        ("1_gtFine_labelLevel1Ids.png", "level1"),
        ("1_gtFine_labelids.png", "id"),
        ("1_gtFine_labelIds.png", "id"),
    ],
)
def test_the_coding_is_known_from_the_name_in_either_spelling(name: str, coding: str) -> None:
    found = coding_of(name)
    assert found
    assert found.name == coding


@pytest.mark.parametrize("name", ["1_label.png", "labelids.png", "1_gtFine_labelcsIds.png", "1_gtFine_instanceids.png"])
def test_other_files_have_no_coding(name: str) -> None:
    assert coding_of(name) is None


@pytest.mark.parametrize("level", [1, 2, 3])
def test_pictures_of_a_level_are_its_own_table(tmp_path: Path, level: int) -> None:
    count = ClassTable.find(f"idd-level{level}").count
    ids = [*range(count), 255]
    assert read(tmp_path, f"_gtFine_labellevel{level}Ids.png", ids, f"idd-level{level}") == (ids, [])


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("table", ["idd-level1", "idd-level2", "idd-level3", "road"])
def test_a_value_is_the_class_that_lists_all_of_its_labels_or_is_refused(
    tmp_path: Path, coding: str, table: str
) -> None:
    found, classes = coding_of(f"1_gtFine_label{coding.removesuffix('id')}ids.png"), ClassTable.find(table)
    assert found
    for value, labels in found.labels.items():
        meant = {classes.id_of_label[label] for label in labels}
        ending = f"_gtFine_label{coding.removesuffix('id')}Ids.png"
        if len(meant) == 1:
            assert read(tmp_path, ending, [value], table) == ([*meant], [])
        else:
            called = "id" if coding == "id" else f"{coding} id"
            with pytest.raises(
                Undecodable, match=f"1{ending}: {called} {value} stands for {re.escape(', '.join(labels))}"
            ):
                read(tmp_path, ending, [value], table)


def test_a_coding_too_coarse_for_the_table_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Undecodable) as caught:
        read(tmp_path, "_gtFine_labellevel1Ids.png", [0], "idd-level3")
    assert str(caught.value) == (
        f"{tmp_path}/1_gtFine_labellevel1Ids.png: level1 id 0 stands for road, parking, drivable fallback, which are "
        "several classes of idd-level3: use the polygons, finer label pictures or a coarser class table"
    )


def test_only_values_that_are_there_need_a_class(tmp_path: Path) -> None:
    assert read(tmp_path, "_gtFine_labellevel1Ids.png", [6, 255], "idd-level3") == ([25, 255], [])


def test_a_value_that_the_coding_lacks_is_reported(tmp_path: Path) -> None:
    assert read(tmp_path, "_gtFine_labellevel3Ids.png", [0, 26, 77], "idd-level3") == ([0, 255, 255], [26, 77])


def test_a_label_that_the_table_does_not_list_is_named(tmp_path: Path) -> None:
    path = tmp_path / "1_gtFine_labelids.png"
    Image.fromarray(np.array([[12]], np.uint8)).save(path)
    table = ClassTable.model_validate({"name": "mine", "classes": [{"id": 0, "name": "road"}]})
    with pytest.raises(Undecodable, match=r"ids.png: id 12 stands for 'car', which no class of mine lists: add it to"):
        read_classes(path, table)


def test_a_folder_that_is_called_like_a_label_picture_says_nothing_of_the_files_in_it() -> None:
    assert coding_of("drive_gtFine_labelids.old/1.png") is None
    assert how_coded("drive_gtFine_labelids.old/1.png") == how_coded("1.png")
    assert coding_of("drive_gtFine_labelids.old/1_gtFine_labellevel2Ids.png").name == "level2"  # type: ignore[union-attr]
