from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadseg.contracts.classes import ClassTable, built_in
from roadseg.contracts.errors import UsageError

LEVEL_1 = ["drivable", "non-drivable", "living-things", "vehicles", "road-side-objs", "far-objects", "sky"]
LEVEL_2 = ["road", "parking", "sidewalk", "non-drivable fallback", "person", "rider", "two-wheeler", "light vehicle"]
LEVEL_2 += ["heavy vehicle", "curb and wall", "fence and rail", "sign", "pole", "structure", "vegetation", "sky"]
LEVEL_3 = ["road", "parking", "sidewalk", "rail track", "person", "rider", "motorcycle", "bicycle", "autorickshaw"]
LEVEL_3 += ["car", "truck", "bus", "vehicle fallback", "curb", "wall", "fence", "guard rail", "billboard"]
LEVEL_3 += ["traffic sign", "traffic light", "pole", "obs-str-bar-fallback", "building", "bridge", "vegetation"]
LEVEL_3 += ["sky"]
# From the dataset authors' label table. Level-3 ids by level-1 id, and level-2 ids by level-1 id.
LEVEL_3_IN_1 = [[0, 1], [2, 3], [4, 5], range(6, 13), range(13, 22), range(22, 25), [25]]
LEVEL_2_IN_1 = [[0, 1], [2, 3], [4, 5], [6, 7, 8], [9, 10, 11, 12], [13, 14], [15]]
COLORS_3 = [(128, 64, 128), (250, 170, 160), (244, 35, 232), (230, 150, 140), (220, 20, 60), (255, 0, 0), (0, 0, 230)]
COLORS_3 += [(119, 11, 32), (255, 204, 54), (0, 0, 142), (0, 0, 70), (0, 60, 100), (136, 143, 153), (220, 190, 40)]
COLORS_3 += [(102, 102, 156), (190, 153, 153), (180, 165, 180), (174, 64, 67), (220, 220, 0), (250, 170, 30)]
COLORS_3 += [(153, 153, 153), (169, 187, 214), (70, 70, 70), (150, 100, 100), (107, 142, 35), (70, 130, 180)]


def refusal(path: Path, content: str) -> str:
    path.write_text(content, "latin-1")
    with pytest.raises(UsageError) as caught:
        ClassTable.read(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("table", "names"),
    [("idd-level1", LEVEL_1), ("idd-level2", LEVEL_2), ("idd-level3", LEVEL_3), ("road", ["other", "road"])],
)
def test_a_built_in_table_has_the_names_of_the_data_set_in_order(table: str, names: list[str]) -> None:
    found = ClassTable.find(table)
    assert found.name == table
    assert found.names == names
    assert found.count == {"idd-level1": 7, "idd-level2": 16, "idd-level3": 26, "road": 2}[table]
    assert found.void == (255,)


def test_there_are_four_built_in_tables() -> None:
    assert built_in() == ["idd-level1", "idd-level2", "idd-level3", "road"]


def test_level_3_has_the_colours_of_the_data_set() -> None:
    assert [entry.color for entry in ClassTable.find("idd-level3").classes] == COLORS_3


@pytest.mark.parametrize(("table", "map_to_1"), [("idd-level2", LEVEL_2_IN_1), ("idd-level3", LEVEL_3_IN_1)])
def test_a_group_names_the_level_1_class(table: str, map_to_1: list[list[int]]) -> None:
    groups = [entry.group for entry in ClassTable.find(table).classes]
    assert groups == [LEVEL_1[label] for label, ids in enumerate(map_to_1) for _ in ids]


@pytest.mark.parametrize("table", ["idd-level1", "idd-level2", "idd-level3"])
def test_people_are_protected_and_nothing_else(table: str) -> None:
    entries = ClassTable.find(table).classes
    assert {entry.group for entry in entries if entry.protected} == {"living-things"}
    assert all(entry.protected for entry in entries if entry.group == "living-things")


@settings(max_examples=25, deadline=None)  # each writes and fsyncs a file
@given(
    names=st.lists(st.from_regex(r"[A-Za-z0-9 _-]{1,12}", fullmatch=True), min_size=1, max_size=9, unique=True),
    void=st.lists(st.integers(9, 255), max_size=3),
    color=st.tuples(*[st.integers(0, 255)] * 3),
    group=st.text(max_size=5),
)
def test_a_table_that_was_written_is_read_equal(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], void: list[int], color: tuple[int], group: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "classes.yaml"
    classes = [
        {"id": i, "name": name, "color": color, "protected": i % 2, "group": group} for i, name in enumerate(names)
    ]
    table = ClassTable.model_validate({"name": "mine", "void": void, "classes": classes})
    table.write(path)
    assert ClassTable.read(path) == table
    assert ClassTable.read(path).digest == table.digest
    assert ClassTable.find(str(path)) == table


def test_only_id_and_name_are_required_and_255_is_always_void(tmp_path: Path) -> None:
    path = tmp_path / "classes.yaml"
    path.write_text("{name: mine, void: 9, classes: [{id: 0, name: a}]}")
    assert ClassTable.read(path).void == (9, 255)


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ("[{id: 0, name: a}, {id: 0, name: b}]", "0, 1, 2, ... in order, found [0, 0]"),
        ("[{id: 0, name: a}, {id: 2, name: b}]", "found [0, 2]"),
        ("[{id: 1, name: a}, {id: 0, name: b}]", "found [1, 0]"),
        ("[{id: 0, name: a}, {id: 1, name: a}]", "the same name"),
        ("[{id: 0, name: a}, {id: 1, name: b}], void: 1", "void ids [1] are classes too"),
        ("[{id: 0, name: a/b}]", "classes.0.name"),
        ("[{id: 0, name: ''}]", "classes.0.name"),
        ("[{id: 0, name: a}, {id: 256, name: b}]", "classes.1.id"),
        ("[{id: 0, name: a, colour: red}]", "classes.0.colour"),
        ("[{id: 0, name: a, color: [1, 2]}]", "classes.0.color"),
        ("[{name: a}]", "classes.0.id"),
        ("[{id: 0, name: a, values: []}]", "classes.0.values"),
        ("[{id: 0, name: a, values: [256]}]", "classes.0.values.0"),
        ("[{id: 0, name: a, values: [1]}, {id: 1, name: b}]", "value 1 is given twice"),
        ("[{id: 0, name: a}, {id: 1, name: b, labels: [a]}]", "label a is given twice"),
        ("[{id: 0, name: a}], void_labels: [a]", "label a is given twice"),
        ("[{id: 0, name: a, values: [7]}], void: 7", "void ids [7] are classes too"),
        ("[{id: 1, name: a}]", "what masks store goes into `values: [...]`"),
        (
            "[{id: 0, name: a, color: [1, 2, 3]}, {id: 1, name: b, color: [1, 2, 3]}], source: color",
            "color (1, 2, 3) is given twice",
        ),
        (
            "[{id: 0, name: a, color: [1, 2, 3]}], source: color, void_colors: [[1, 2, 3]]",
            "color (1, 2, 3) is given twice",
        ),
        ("[{id: 0, name: a, color: [1, 2, 3]}, {id: 1, name: b}], source: color", "give `color: [r, g, b]` to b"),
        ("[{id: 0, name: a}, {id: 1, name: b}], source: color", "give `color: [r, g, b]` to a, b"),
        ("[{id: 0, name: a}], source: colour", "source"),
        ("[]", "classes"),
    ],
)
def test_a_faulty_table_is_refused_with_file_and_fault(tmp_path: Path, classes: str, said: str) -> None:
    message = refusal(tmp_path / "mine.yaml", f"{{name: mine, classes: {classes}}}")
    assert message.startswith(f"{tmp_path / 'mine.yaml'}: ")
    assert said in message


@pytest.mark.parametrize("content", ["classes: [", "just words", "- 1\n- 2", "", "\xff\x00"])
def test_a_file_that_is_no_table_is_refused_by_name(tmp_path: Path, content: str) -> None:
    assert str(tmp_path / "mine.yaml") in refusal(tmp_path / "mine.yaml", content)


def test_a_missing_table_says_which_verb_writes_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"classes\.yaml is missing: `roadseg data import`"):
        ClassTable.read(tmp_path / "classes.yaml")


def test_a_table_that_was_asked_for_and_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mine\.yaml: no such class table"):
        ClassTable.find(str(tmp_path / "mine.yaml"))


def test_an_unknown_name_lists_the_built_in_ones() -> None:
    with pytest.raises(UsageError, match=r"'idd-level4'.*idd-level1, idd-level2, idd-level3, road"):
        ClassTable.find("idd-level4")


def test_the_palette_paints_classes_in_their_colours_and_the_rest_black() -> None:
    table = ClassTable.find("idd-level3")
    np.testing.assert_array_equal(table.palette[:26], COLORS_3)
    assert not table.palette[26:].any()


TABLE = ClassTable.model_validate(
    {
        "name": "mine",
        "void": [9],
        "void_labels": ["x"],
        "void_colors": [[1, 1, 1]],
        "classes": [
            {"id": 0, "name": "a", "color": [1, 2, 3], "values": [4], "labels": ["a", "b"]},
            {"id": 1, "name": "c", "color": [4, 5, 6]},
        ],
    }
)
PAINTED = ClassTable.model_validate(TABLE.content | {"source": "color"})


def with_first(**changes: Any) -> dict[str, Any]:
    """The table's classes, the first of them changed."""
    first, second = TABLE.content["classes"]
    return {"classes": [first | changes, second]}


@pytest.mark.parametrize("change", [with_first(protected=True), with_first(group="g")])
@pytest.mark.parametrize("table", [TABLE, PAINTED], ids=["ids", "colours"])
def test_what_only_judges_makes_no_other_table(table: ClassTable, change: dict[str, Any]) -> None:
    other = ClassTable.model_validate(table.content | change)
    assert other.content != table.content
    assert (other, hash(other), other.digest) == (table, hash(table), table.digest)


@pytest.mark.parametrize("change", [with_first(color=[7, 7, 7]), {"void_colors": [[2, 2, 2]]}])
def test_colours_make_another_table_only_where_masks_hold_them(change: dict[str, Any]) -> None:
    for table, equal in ((TABLE, True), (PAINTED, False)):
        other = ClassTable.model_validate(table.content | change)
        assert (other == table, hash(other) == hash(table), other.digest == table.digest) == (equal,) * 3


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"source": "color"},
        {"void": [10]},
        {"void_labels": []},
        with_first(name="z"),
        with_first(values=[5]),
        with_first(labels=["a"]),
        {"classes": TABLE.content["classes"][:1]},
    ],
)
def test_what_decides_ids_makes_another_table(change: dict[str, Any]) -> None:
    other = ClassTable.model_validate(TABLE.content | change)
    assert other != TABLE
    assert other.digest != TABLE.digest


def test_a_table_is_equal_to_no_other_thing() -> None:
    assert ClassTable.model_validate(TABLE.content) != TABLE.content
    assert ClassTable.model_validate(TABLE.content) == TABLE


def test_a_class_is_stored_as_its_id_and_called_by_its_name_where_nothing_else_is_said() -> None:
    (entry,) = ClassTable.model_validate({"name": "mine", "classes": [{"id": 0, "name": "a"}]}).classes
    assert (entry.values, entry.labels) == ((0,), ("a",))


def test_two_classes_may_share_a_colour_where_masks_hold_ids() -> None:
    ClassTable.model_validate({"name": "mine", "classes": [{"id": 0, "name": "a"}, {"id": 1, "name": "b"}]})


def test_a_class_may_be_given_the_grey_that_others_get_for_want_of_a_colour(tmp_path: Path) -> None:
    grey = {"id": 0, "name": "a", "color": [128, 128, 128]}
    table = ClassTable.model_validate({"name": "mine", "source": "color", "classes": [grey]})
    table.write(tmp_path / "mine.yaml")
    assert ClassTable.read(tmp_path / "mine.yaml").id_of_color == {0x808080: 0}


def test_a_class_may_claim_255_and_it_is_void_no_more() -> None:
    ids = ClassTable.find("road").id_of_value
    assert (ids[0], ids[1], ids[255], ids[2]) == (0, 1, 1, -1)
    assert ClassTable.find("idd-level1").id_of_value[255] == 255


def test_a_table_without_the_newer_keys_is_still_read() -> None:
    old = {"name": "mine", "void": [255], "classes": [{"id": 0, "name": "a", "color": [1, 2, 3], "group": ""}]}
    assert ClassTable.model_validate(old).id_of_color == {0x010203: 0}


@pytest.mark.parametrize("table", ["idd-level1", "idd-level2", "idd-level3", "road"])
def test_a_built_in_table_places_every_label_of_the_data_set(table: str) -> None:
    csv = files("roadseg.contracts").joinpath("tables/idd-labels.csv").read_text().splitlines()
    labels, found = [line.split(",")[0] for line in csv[1:]], ClassTable.find(table)
    assert len(labels) == 40
    assert set(labels) | set(found.names) >= set(found.id_of_label) >= set(labels)
