import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.imaging.codings import CODINGS, LAYOUT, coding_of, coding_of_place, coding_of_sample
from roadseg.imaging.masks import read_classes, read_label
from roadseg.imaging.pixels import Undecodable


def read(folder: Path, ending: str, ids: list[int], table: str) -> tuple[list[int], list[int]]:
    path = folder / f"1{ending}"
    Image.fromarray(np.array([ids], np.uint8)).save(path)
    mask, outside = read_classes(
        path, ClassTable.find(table), coding_of_sample(path.name, LAYOUT, ClassTable.find(table))
    )
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
                Undecodable, match=f"Ids.png: {called} {value} stands for {re.escape(', '.join(labels))}"
            ):
                read(tmp_path, ending, [value], table)


def test_a_coding_too_coarse_for_the_table_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Undecodable) as caught:
        read(tmp_path, "_gtFine_labellevel1Ids.png", [0], "idd-level3")
    assert str(caught.value) == (
        f"{tmp_path}/1_gtFine_labellevel1Ids.png: level1 id 0 stands for road, parking, drivable fallback, which are "
        "several classes of idd-level3: use the "
        "polygons, finer label pictures or a coarser class table"
    )


def test_only_values_that_are_there_need_a_class(tmp_path: Path) -> None:
    assert read(tmp_path, "_gtFine_labellevel1Ids.png", [6, 255], "idd-level3") == ([25, 255], [])


def test_a_value_that_the_coding_lacks_is_reported(tmp_path: Path) -> None:
    assert read(tmp_path, "_gtFine_labellevel3Ids.png", [0, 26, 77], "idd-level3") == ([0, 255, 255], [26, 77])


OWN = ClassTable.model_validate(
    {"name": "mine", "classes": [{"id": 0, "name": "rest"}, {"id": 1, "name": "road"}, {"id": 2, "name": "car"}]}
)


@pytest.mark.parametrize("ending", ["labelIds", "labellevel1Ids", "labellevel3Ids"])
@pytest.mark.parametrize("layout", ["folders", "idd-20k"])
def test_a_table_of_ones_own_goes_before_a_name(tmp_path: Path, ending: str, layout: str) -> None:
    path = tmp_path / f"1_gtFine_{ending}.png"
    Image.fromarray(np.array([[0, 1, 2, 255]], np.uint8)).save(path)
    coding = coding_of_sample(path.name, layout, OWN)
    assert read_classes(path, OWN, coding)[0].tolist() == [[0, 1, 2, 255]]


@pytest.mark.parametrize("layout", ["folders", "idd-lite", "numbered"])
@pytest.mark.parametrize("table", ["road", "idd-level1", "idd-level3"])
def test_a_name_says_nothing_in_another_layout(layout: str, table: str) -> None:
    name = "gtFine/train/1/1_gtFine_labelIds.png"
    assert coding_of_sample(name, layout, ClassTable.find(table)) is None
    assert coding_of_sample(name, LAYOUT, ClassTable.find(table)) == "id"


def test_a_table_that_groups_all_of_idd_s_labels_is_one_of_idd_s(tmp_path: Path) -> None:
    grouped = ClassTable.find("idd-level1").content | {"name": "mine"}
    grouped["classes"] = [entry | {"id": 6 - entry["id"], "values": [6 - entry["id"]]} for entry in grouped["classes"]]
    table = ClassTable.model_validate(grouped | {"classes": grouped["classes"][::-1]})
    path = tmp_path / "1_gtFine_labelIds.png"
    Image.fromarray(np.array([[0]], np.uint8)).save(path)
    assert read_classes(path, table, coding_of_sample(path.name, LAYOUT, table))[0].tolist() == [[6]]


@pytest.mark.parametrize(("place", "road"), [("gtFine/val/12", 1), ("gtFine/val", 0), ("labels", 0)])
def test_a_label_to_score_against_is_idd_s_where_idd_puts_it(tmp_path: Path, place: str, road: int) -> None:
    path = tmp_path / place / "1_gtFine_labelIds.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(np.array([[0]], np.uint8)).save(path)
    assert read_label(path, ClassTable.find("road"))[0].tolist() == [[road]]
    assert coding_of_place(path, OWN) is None


def test_a_folder_that_is_called_like_a_label_picture_says_nothing_of_the_files_in_it() -> None:
    assert coding_of("drive_gtFine_labelids.old/1.png") is None
    assert coding_of("drive_gtFine_labelids.old/1_gtFine_labellevel2Ids.png").name == "level2"  # type: ignore[union-attr]
