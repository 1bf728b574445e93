import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from roadseg.contracts.classes import ClassTable
from roadseg.imaging.masks import read_classes
from roadseg.imaging.pixels import Undecodable

WHOLE = [[-1, -1], [20, -1], [20, 20], [-1, 20]]
LEFT = [[0, 0], [3, 0], [3, 9], [0, 9]]
HOLE = [[1, 1], [2, 1], [2, 2], [1, 2]]


def thing(label: str, polygon: Any, **more: Any) -> dict[str, Any]:
    return {"label": label, "polygon": polygon, "deleted": 0, **more}


def decoded(folder: Path, *objects: Any, table: str = "idd-level3", width: int = 8, height: int = 10) -> np.ndarray:
    path = folder / "1_gtFine_polygons.json"
    path.write_text(json.dumps({"imgWidth": width, "imgHeight": height, "objects": objects}))
    mask, outside = read_classes(path, ClassTable.find(table))
    assert outside == []
    assert (mask.dtype, mask.shape) == (np.uint8, (height, width))
    return mask


def refusal(folder: Path, content: str, table: str = "idd-level3") -> str:
    (folder / "a.json").write_text(content)
    with pytest.raises(Undecodable) as caught:
        read_classes(folder / "a.json", ClassTable.find(table))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{folder / 'a.json'}: ")
    return str(caught.value).removeprefix(f"{folder / 'a.json'}: ")


def test_what_no_polygon_covers_is_void(tmp_path: Path) -> None:
    mask = decoded(tmp_path, thing("road", LEFT))
    assert (mask[:, :4] == 0).all()
    assert (mask[:, 4:] == 255).all()
    assert (decoded(tmp_path) == 255).all()


def test_later_objects_cover_earlier_ones_so_order_makes_holes(tmp_path: Path) -> None:
    mask = decoded(tmp_path, thing("building", LEFT), thing("sky", HOLE))
    assert (mask[1:3, 1:3] == 25).all()
    assert (mask == 22).sum() == 4 * 10 - 4
    assert not (decoded(tmp_path, thing("sky", HOLE), thing("building", LEFT)) == 25).any()


def test_a_void_label_covers_too(tmp_path: Path) -> None:
    assert (decoded(tmp_path, thing("road", WHOLE), thing("ego vehicle", WHOLE)) == 255).all()


@pytest.mark.parametrize("deleted", [1, True])
def test_a_deleted_object_is_skipped_even_with_an_unknown_label(tmp_path: Path, deleted: Any) -> None:
    mask = decoded(tmp_path, thing("road", WHOLE), thing("no such thing", WHOLE, deleted=deleted))
    assert (mask == 0).all()


@pytest.mark.parametrize("points", [[], [[1, 1]], [[1, 1], [5, 5]]])
def test_fewer_than_three_points_draw_nothing(tmp_path: Path, points: list[list[int]]) -> None:
    assert (decoded(tmp_path, thing("road", WHOLE), thing("sky", points)) == 0).all()


def test_a_group_is_read_as_its_members_unless_the_label_is_known_itself(tmp_path: Path) -> None:
    assert (decoded(tmp_path, thing("cargroup", WHOLE)) == 9).all()
    assert (decoded(tmp_path, thing("polegroup", WHOLE)) == 20).all()


@given(polygon=st.lists(st.tuples(*[st.floats(-40, 60)] * 2), min_size=3, max_size=8))
def test_points_outside_of_the_frame_and_between_pixels_are_drawn_as_pillow_does(
    tmp_path_factory: pytest.TempPathFactory, polygon: list[tuple[float, float]]
) -> None:
    expected = Image.new("L", (13, 9), 255)
    ImageDraw.Draw(expected).polygon(polygon, fill=0)
    mask = decoded(tmp_path_factory.getbasetemp(), thing("road", polygon), width=13, height=9)
    np.testing.assert_array_equal(mask, np.asarray(expected))


@pytest.mark.parametrize(
    ("label", "ids"),
    [("road", (0, 0, 0, 1)), ("drivable fallback", (0, 1, 1, 0)), ("non-drivable fallback", (1, 3, 3, 0))]
    + [("animal", (2, 4, 4, 0)), ("bicycle", (3, 6, 7, 0)), ("caravan", (3, 8, 12, 0)), ("tunnel", (5, 13, 23, 0))]
    + [("fallback background", (6, 15, 25, 0)), ("license plate", (255, 255, 255, 255))],
)
def test_one_file_decodes_to_every_level(tmp_path: Path, label: str, ids: tuple[int, ...]) -> None:
    tables = ("idd-level1", "idd-level2", "idd-level3", "road")
    assert tuple(decoded(tmp_path, thing(label, WHOLE), table=table)[5, 5] for table in tables) == ids


def test_labels_of_a_table_of_ones_own_are_used(tmp_path: Path) -> None:
    classes = [{"id": 0, "name": "ground", "labels": ["road", "lane"]}, {"id": 1, "name": "rest"}]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"imgWidth": 2, "imgHeight": 1, "objects": [thing("lane", WHOLE)]}))
    table = ClassTable.model_validate({"name": "mine", "classes": classes})
    assert read_classes(path, table)[0].tolist() == [[0, 0]]


def test_an_unknown_label_is_named_with_what_to_do(tmp_path: Path) -> None:
    said = refusal(tmp_path, json.dumps({"imgWidth": 9, "imgHeight": 9, "objects": [thing("dragon", WHOLE)]}))
    assert said.startswith("holds label 'dragon', which no class of idd-level3 lists: add it to the `labels`")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("[]", "holds no `objects`"),
        ('{"imgWidth": 9, "imgHeight": 9}', "holds no `objects`"),
        ('{"imgWidth": 9, "objects": []}', "imgHeight is None, not a number of pixels"),
        ('{"imgWidth": 0, "imgHeight": 9, "objects": []}', "imgWidth is 0, not a number of pixels"),
        ('{"imgWidth": "9", "imgHeight": 9, "objects": []}', "imgWidth is '9', not a number of pixels"),
        ('{"imgWidth": 99999, "imgHeight": 99999, "objects": []}', "99999x99999 is over 100000000 pixels"),
        ('{"imgWidth": 9, "imgHeight": 9, "objects": [{"label": "road"}]}', "objects[0], 'road', has no `polygon`"),
        ('{"imgWidth": 9, "imgHeight": 9, "objects": [{"polygon": []}]}', "objects[0] has label None, no text"),
        ('{"imgWidth": 9, "imgHeight": 9, "objects": [{"label": "a", "polygon": null}]}', "'a', has no `polygon`"),
        ('{"imgWidth": 9.5, "imgHeight": 9, "objects": []}', "imgWidth is 9.5, not a number of pixels"),
        ('{"imgWidth": NaN, "imgHeight": 9, "objects": []}', "imgWidth is nan, not a number of pixels"),
        ('{"imgWidth": true, "imgHeight": 9, "objects": []}', "imgWidth is True, not a number of pixels"),
        ('{"imgWidth": 9, "imgHeight": 9, "objects": [7]}', "is no list of polygons with labels"),
        (
            '{"imgWidth": 9, "imgHeight": 9, "objects": [{"label": "sky", "polygon": [[1, 2], [3, 4], [5]]}]}',
            "objects[0], 'sky', is no list of points [x, y]",
        ),
        (
            '{"imgWidth": 9, "imgHeight": 9, "objects": [{"label": "sky", "polygon": [[1, 2], [3, 4], [NaN, 1]]}]}',
            "objects[0], 'sky', has a point far outside of the picture",
        ),
        (
            '{"imgWidth": 9, "imgHeight": 9, "objects": [{"label": "sky", "polygon": [[1, 2], [3, 4], [1e99, 1]]}]}',
            "objects[0], 'sky', has a point far outside of the picture",
        ),
    ],
)
def test_a_faulty_file_is_refused_in_one_line(tmp_path: Path, content: str, said: str) -> None:
    assert said in refusal(tmp_path, content)


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(Undecodable, match="the file is missing"):
        read_classes(tmp_path / "a.json", ClassTable.find("road"))


def test_the_object_that_is_faulty_is_named_among_many(tmp_path: Path) -> None:
    objects = [thing("road", WHOLE), thing("sky", LEFT), thing("car", None)]
    said = refusal(tmp_path, json.dumps({"imgWidth": 9, "imgHeight": 9, "objects": objects}))
    assert said.startswith("objects[2], 'car', has no `polygon` that lists points: ")


@pytest.mark.parametrize("label", ["Road", " road", "ROAD ", "road", "Roadgroup", "road group"])
def test_capitals_and_spaces_of_a_label_do_not_count(tmp_path: Path, label: str) -> None:
    assert (decoded(tmp_path, thing(label, WHOLE)) == 0).all()


@pytest.mark.parametrize(("label", "number"), [("Pole", 0), ("pole", 1)])
def test_labels_that_differ_in_capitals_only_are_told_apart(tmp_path: Path, label: str, number: int) -> None:
    classes = [{"id": 0, "name": "Pole"}, {"id": 1, "name": "pole"}]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"imgWidth": 1, "imgHeight": 1, "objects": [thing(label, WHOLE)]}))
    assert read_classes(path, ClassTable.model_validate({"name": "m", "classes": classes}))[0].tolist() == [[number]]
    path.write_text(json.dumps({"imgWidth": 1, "imgHeight": 1, "objects": [thing("POLE", WHOLE)]}))
    with pytest.raises(Undecodable, match=r"holds label 'POLE', .* `void_labels` \(objects\[0\]\)"):
        read_classes(path, ClassTable.model_validate({"name": "m", "classes": classes}))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_no_part_of_the_json(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"imgWidth": 2, "imgHeight": 1, "objects": [thing("road", WHOLE)]}), encoding)
    assert read_classes(path, ClassTable.find("idd-level3"))[0].tolist() == [[0, 0]]


def test_a_size_in_floats_is_a_size(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"imgWidth": 2.0, "imgHeight": 1.0, "objects": []}')
    assert read_classes(path, ClassTable.find("road"))[0].shape == (1, 2)


@pytest.mark.parametrize(
    ("content", "tool", "way"),
    [
        ({"version": "5", "shapes": [], "imageHeight": 9}, "labelme", "labelme2voc"),
        ({"images": [], "annotations": [], "categories": []}, "COCO", "annToMask"),
        ({"_via_img_metadata": {}}, "the VGG Image Annotator", "scripts"),
        ([{"id": 1, "data": {}, "annotations": []}], "Label Studio", "brush labels"),
        ({"size": {"height": 1, "width": 1}, "objects": [{"classTitle": "road"}]}, "Supervisely", "masks"),
        ({"info": {}, "categories": {}, "items": []}, "Datumaro", "datum convert"),
        ([{"name": "a.jpg", "labels": []}], "BDD100K", "to_mask"),
        ({"type": "FeatureCollection", "features": []}, "GeoJSON", "gdal_rasterize"),
    ],
)
def test_json_of_another_tool_is_called_so_with_the_way_to_masks(
    tmp_path: Path, content: Any, tool: str, way: str
) -> None:
    said = refusal(tmp_path, json.dumps(content))
    assert said.startswith(f"is JSON of {tool}, not polygons as IDD and Cityscapes store them: ")
    assert way in said
