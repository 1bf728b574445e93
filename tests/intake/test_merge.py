import os
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml
from filelock import FileLock

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import Busy, DataRefused, UsageError
from roadseg.intake.install import install
from roadseg.intake.merge import Merged, merge

from .conftest import NEW, OLD, PARAMS, contents, put

IMAGE = "leftImg8bit/train/1/1_image.jpg"


@pytest.fixture
def tree(make_tree: Callable[[str], Path]) -> Path:
    return make_tree("tree")


def dataset(tree: Path) -> object:
    return yaml.safe_load((tree / "params.yaml").read_text())["scan"]["dataset"]


def test_what_is_new_is_added_and_what_was_there_stays(tree: Path, tmp_path: Path, cached: Path) -> None:
    done = merge(tree, put(tmp_path / "new", NEW | OLD), None)
    assert done == Merged("idd-lite", new=2, known=2)
    assert contents(tree / "data/raw") == OLD | NEW
    assert contents(max(cached.iterdir(), key=lambda path: int(path.name))) == OLD | NEW
    assert not [name for name in (".import", ".merge") if (tree / "data" / name).exists()]


def test_adding_the_same_twice_adds_nothing(tree: Path, tmp_path: Path) -> None:
    source = put(tmp_path / "new", NEW)
    merge(tree, source, None)
    before = contents(tree)
    assert merge(tree, source, None) == Merged("idd-lite", new=0, known=2)
    assert contents(tree) == before
    assert contents(source) == NEW


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({IMAGE: b"another image"}, f"data/raw/{IMAGE}: .* has a different file of that name; keep one of the two"),
        ({IMAGE: b"old imagE"}, f"data/raw/{IMAGE}: .* has a different file of that name"),
        (
            {IMAGE.replace("1_i", "1_I"): b"old image"},
            f"data/raw/{IMAGE}: .* as .*1_Image.jpg, which is one name on some",
        ),
        ({f"{IMAGE}/1.jpg": b""}, f"data/raw/{IMAGE} is a file here and a folder there"),
        ({"leftImg8bit/train/1": b""}, "data/raw/leftImg8bit/train/1 is a file here and a folder there"),
    ],
)
def test_what_would_replace_a_file_is_refused_by_name_and_nothing_is_changed(
    tree: Path, tmp_path: Path, files: dict[str, bytes], said: str
) -> None:
    before = contents(tree)
    with pytest.raises(DataRefused, match=said) as caught:
        merge(tree, put(tmp_path / "new", NEW | files), ClassTable.find("road"), layout="idd-lite")
    assert str(caught.value).endswith("; nothing was added")
    assert contents(tree) == before


def test_of_many_clashes_three_are_named_and_the_rest_counted(tree: Path, tmp_path: Path) -> None:
    many = {f"leftImg8bit/train/1/{number}_image.jpg": b"1" for number in range(2, 9)}
    merge(tree, put(tmp_path / "first", many), None)
    with pytest.raises(DataRefused, match="; and 4 more; nothing was added"):
        merge(tree, put(tmp_path / "second", dict.fromkeys(many, b"2")), None)


def test_another_layout_is_refused(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match="has layout folders and data/raw idd-lite: nothing was added"):
        merge(tree, put(tmp_path / "new", {"images/1.jpg": b"", "masks/1.png": b""}), None)
    assert contents(tree / "data/raw") == OLD


@pytest.mark.parametrize(("top", "links"), [("", True), ("part-2/", True), ("", False)])
def test_masks_that_come_after_their_images_are_added(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, top: str, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", Mock(side_effect=PermissionError("no links on this disk")))
    images, masks = ({name: NEW[name] for name in NEW if name.startswith(kind)} for kind in ("left", "gtFine"))
    merge(tree, put(tmp_path / "images", images), None)
    later = put(tmp_path / "masks", {f"{top}{name}": content for name, content in masks.items()})
    assert merge(tree, later, None) == Merged("idd-lite", new=1, known=0)
    assert contents(tree / "data/raw") == OLD | NEW


def test_masks_that_belong_to_no_image_are_refused_by_what_they_are(tree: Path, tmp_path: Path) -> None:
    masks = {"gtFine/train/2/frame7_label.png": b"", "gtFine/train/1/2_label.png": b""}
    with pytest.raises(DataRefused, match="has no layout that roadseg knows"):
        merge(tree, put(tmp_path / "masks", masks), None)
    assert contents(tree / "data/raw") == OLD
    assert sorted(path.name for path in (tree / "data").iterdir() if path.is_dir()) == ["raw"]


def test_the_class_table_is_kept_unless_another_is_given(tree: Path, tmp_path: Path) -> None:
    merge(tree, put(tmp_path / "new", NEW), None)
    assert ClassTable.read(tree / "data/classes.yaml").name == "idd-level1"
    merge(tree, tmp_path / "new", ClassTable.find("road"))
    assert ClassTable.read(tree / "data/classes.yaml").name == "road"


@pytest.mark.parametrize("archive", [False, True])
def test_a_single_drive_split_or_part_is_added_beside_those_that_are_there(
    make_tree: Callable[[str], Path], tmp_path: Path, archive: bool
) -> None:
    pairs = {f"{drive}/{kind}/1.png": drive.encode() for drive in "abc" for kind in ("images", "masks")}
    one = {name: content for name, content in pairs.items() if name.startswith("c/")}
    tree = make_tree("tree")
    install(tree, put(tmp_path / "two", {name: pairs[name] for name in pairs.keys() - one.keys()}), None)
    source = put(tmp_path / "one", one)
    if archive:
        source = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", source))
    assert merge(tree, source, None) == Merged("folders", new=2, known=0)
    assert contents(tree / "data/raw") == pairs


def test_without_data_there_is_nothing_to_add_to(tree: Path, tmp_path: Path) -> None:
    shutil.rmtree(tree / "data/raw")
    with pytest.raises(UsageError, match="data/raw is missing, so nothing can be added to it: import without --add"):
        merge(tree, put(tmp_path / "new", NEW), None)


@pytest.mark.parametrize("add", [False, True])
def test_two_imports_at_once_are_kept_apart(tree: Path, tmp_path: Path, idd_level1: ClassTable, add: bool) -> None:
    before, source = contents(tree / "data"), put(tmp_path / "new", NEW)
    with FileLock(tree / ".dvc/tmp/roadseg-import.lock"), pytest.raises(Busy, match="another import works in"):
        (merge if add else install)(tree, source, idd_level1)
    assert contents(tree / "data") == before


def test_the_layout_that_was_asked_for_stands_in_params_with_its_comments(
    tree: Path, tmp_path: Path, idd_level1: ClassTable
) -> None:
    install(tree, put(tmp_path / "new", NEW), idd_level1, layout="idd-lite", images=None, masks=None)
    written = (tree / "params.yaml").read_text()
    assert "  layout: idd-lite # looks\n" in written
    assert [line for line in written.splitlines() if "layout" not in line][:1] == ["# mine"]
    assert "learning_rate: 2.0e-3" in written


def test_params_are_not_touched_where_they_say_so_already(tree: Path, tmp_path: Path, idd_level1: ClassTable) -> None:
    (tree / "params.yaml").write_text(PARAMS)
    install(tree, put(tmp_path / "new", NEW), idd_level1, name="", layout="auto", images="", masks=None)
    assert (tree / "params.yaml").read_text() == PARAMS


def test_patterns_are_kept_for_scan_and_for_the_next_addition(
    tree: Path, tmp_path: Path, idd_level1: ClassTable
) -> None:
    patterns = {"images": "a/{id}.jpg", "masks": "b/{id}.png"}
    source = put(tmp_path / "new", {"a/1.jpg": b"1", "b/1.png": b"2", "b/readme": b""})
    assert install(tree, source, idd_level1, **patterns) == "folders"
    assert "images: a/{id}.jpg\n" in (tree / "params.yaml").read_text()
    more = put(tmp_path / "more", {"a/2.jpg": b"1", "b/2.png": b"2", "c": b""})
    assert merge(tree, more, None) == Merged("folders", new=3, known=0)


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("idd20k_lite", "zip"),
        ("2024", "tar"),
        ("set.v2", "tar.gz"),
        ("set.tar", "TGZ"),
        ("x", "tar.bz2"),
        ("x", "tar.xz"),
    ],
)
def test_a_data_set_is_called_as_its_archive_without_the_ending(
    tree: Path, tmp_path: Path, name: str, ending: str
) -> None:
    kind = {"zip": "zip", "tar.bz2": "bztar", "tar.xz": "xztar", "tar": "tar"}.get(ending, "gztar")
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), kind, put(tmp_path / "new", NEW)))
    install(tree, packed.rename(tmp_path / f"{name}.{ending}"), None)
    assert dataset(tree) == name


def test_a_data_set_is_called_as_its_folder_unless_it_is_given_a_name(tree: Path, tmp_path: Path) -> None:
    source = put(tmp_path / "set.v2.zip", NEW)
    install(tree, source, None)
    assert dataset(tree) == "set.v2.zip"
    install(tree, source, None, name="mine")
    assert dataset(tree) == "mine"
    install(tree, source, None, name="")
    assert dataset(tree) == ""


def test_an_addition_keeps_the_name_that_is_there_unless_it_is_given_one(tree: Path, tmp_path: Path) -> None:
    source = put(tmp_path / "new", NEW)
    assert dataset(tree) == "old"
    merge(tree, source, None)
    assert dataset(tree) == "old"
    merge(tree, source, None, name="both")
    assert dataset(tree) == "both"


def test_an_addition_to_data_without_a_name_gives_them_none(tree: Path, tmp_path: Path) -> None:
    (tree / "params.yaml").write_text(PARAMS)
    merge(tree, put(tmp_path / "new", NEW), None)
    assert (tree / "params.yaml").read_text() == PARAMS


def test_a_name_that_is_no_unicode_is_written_all_the_same(tree: Path, tmp_path: Path) -> None:
    install(tree, put(tmp_path / "stra\udcdfe", NEW), None)
    assert dataset(tree) == "stra?e"


@pytest.mark.usefixtures("cached")
def test_added_drives_get_the_split_that_is_asked_for_and_others_stay(tree: Path, tmp_path: Path) -> None:
    source = put(tmp_path / "new", NEW)
    merge(tree, source, None, split="val", name="town")
    lines = (tree / "data/splits.csv").read_text().splitlines()
    assert lines == ["drive,split,dataset,batch", "2,val,town,"]
    merge(tree, source, None, split="train", name="town")  # nothing of it is new
    assert (tree / "data/splits.csv").read_text().splitlines() == lines
