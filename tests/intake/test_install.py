import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused, RoadsegError, UsageError
from roadseg.contracts.files import read_json
from roadseg.contracts.manifest import from_rows, write_manifest
from roadseg.intake import install as module
from roadseg.intake import places
from roadseg.intake.install import install
from roadseg.pipeline.dvc import dvc

from .conftest import NEW, OLD, contents, put


@pytest.fixture(scope="module")
def imported_once(tmp_path_factory: pytest.TempPathFactory, idd_level1: ClassTable) -> Path:
    """A repository of DVC with the old data; copy it, do not change it."""
    folder = tmp_path_factory.mktemp("install")
    tree = put(folder / "tree", {"dvc.yaml": b"stages: {}\n", "params.yaml": b""})
    dvc(tree, "init", "--no-scm", "--quiet")
    assert install(tree, put(folder / "old", OLD), idd_level1) == "idd-lite"
    return tree


@pytest.fixture
def tree(tmp_path: Path, imported_once: Path) -> Path:
    """A repository of DVC with the old data."""
    return Path(shutil.copytree(imported_once, tmp_path / "tree", symlinks=True))


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return put(tmp_path / "new", NEW)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, bytes]]:
    """What stood at data/raw at each call of DVC, which is not called."""
    seen: list[dict[str, bytes]] = []
    monkeypatch.setattr(module, "dvc", lambda tree, *arguments: seen.append(contents(tree / "data/raw")))
    return seen


def standing(folder: Path) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The data in use and those that they replaced."""
    return contents(folder / "raw"), contents(folder / ".replaced")


def hostile(tmp_path: Path) -> Path:
    with tarfile.open(tmp_path / "hostile.tar", "w") as opened:
        opened.add(put(tmp_path / "source", NEW), "top")
        opened.addfile(tarfile.TarInfo("../out"))
    return tmp_path / "hostile.tar"


def cut(tmp_path: Path) -> Path:
    with tarfile.open(tmp_path / "cut.tar.gz", "w:gz") as opened:
        opened.add(put(tmp_path / "source", NEW), "top")
    (tmp_path / "cut.tar.gz").write_bytes((tmp_path / "cut.tar.gz").read_bytes()[:-40])
    return tmp_path / "cut.tar.gz"


UNUSABLE = [hostile, cut, lambda path: put(path / "other", {"1.jpg": b"1"}), lambda path: path / "nowhere.zip"]


def test_a_first_import_leaves_the_data_their_digest_and_the_files_that_stages_read(
    imported_once: Path, idd_level1: ClassTable
) -> None:
    data = imported_once / "data"
    assert contents(data / "raw") == OLD
    names = {path.name for path in data.iterdir()} - {".gitignore"}
    assert names == {"classes.yaml", "quarantine.csv", "raw", "raw.dvc", "reference.json", "splits.csv"}
    assert ClassTable.read(data / "classes.yaml") == idd_level1
    assert (data / "quarantine.csv").read_text() == "sample,image_sha,reason\n"
    assert (data / "reference.json").read_text() == "{}\n"
    assert (data / "splits.csv").read_text() == "drive,split,dataset,batch\n"
    assert "nfiles: 2" in (data / "raw.dvc").read_text()


@pytest.mark.parametrize("make", UNUSABLE)
def test_a_source_that_cannot_be_used_changes_nothing(
    tree: Path, tmp_path: Path, idd_level1: ClassTable, make: Callable[[Path], Path]
) -> None:
    before, source = contents(tree / "data"), make(tmp_path)
    with pytest.raises(RoadsegError):
        install(tree, source, idd_level1)
    assert contents(tree / "data") == before
    assert not list((tree / "data").glob(".*port*"))


def test_replaced_data_come_back_with_their_old_digest(tree: Path, new: Path, idd_level1: ClassTable) -> None:
    old = (tree / "data/raw.dvc").read_bytes()
    install(tree, new, ClassTable.find("road"))
    assert contents(tree / "data/raw") == NEW
    assert (tree / "data/raw.dvc").read_bytes() != old
    assert ClassTable.read(tree / "data/classes.yaml").name == "road"
    assert not (tree / "data/.replaced").exists()
    (tree / "data/raw.dvc").write_bytes(old)
    dvc(tree, "checkout", "--quiet", "--force", "data/raw.dvc")
    assert contents(tree / "data/raw") == OLD


def test_the_old_data_are_given_to_dvc_before_they_are_moved(
    tree: Path, new: Path, idd_level1: ClassTable, calls: list[dict[str, bytes]]
) -> None:
    edited = put(tree / "data/raw", {"leftImg8bit/train/1/1_image.jpg": b"edited by hand"})
    before = contents(edited)
    install(tree, new, idd_level1)
    assert calls == [before, NEW]


def test_the_old_data_are_deleted_only_when_their_copy_and_the_renames_are_on_disk(
    tree: Path, new: Path, idd_level1: ClassTable, calls: list[dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[object] = []
    monkeypatch.setattr(module, "sync_disk", lambda _: steps.append((list(calls), contents(tree / "data/raw"))))
    monkeypatch.setattr(module, "sync_folder", lambda folder: steps.append(standing(folder)))
    install(tree, new, idd_level1)
    assert steps == [([OLD], OLD), (NEW, OLD)]


@pytest.mark.parametrize("arrived", [{}, NEW], ids=["undone", "completed"])
def test_what_a_recovery_deletes_is_deleted_when_the_renames_are_on_disk(
    tree: Path, idd_level1: ClassTable, monkeypatch: pytest.MonkeyPatch, arrived: dict[str, bytes]
) -> None:
    (tree / "data/raw").rename(tree / "data/.replaced")
    put(tree / "data/raw", arrived)
    steps: list[object] = []
    monkeypatch.setattr(places, "sync_folder", lambda folder: steps.append(standing(folder)))
    with pytest.raises(UsageError, match="no such file"):
        install(tree, tree / "nowhere.zip", idd_level1)
    assert steps == [(NEW, OLD) if arrived else (OLD, {})]
    assert standing(tree / "data") == (arrived or OLD, {})


def test_where_dvc_cannot_keep_the_old_data_they_stay(
    tree: Path, new: Path, idd_level1: ClassTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise UsageError("the disk is full")

    monkeypatch.setattr(module, "dvc", full)
    before = contents(tree / "data")
    with pytest.raises(UsageError, match="the disk is full"):
        install(tree, new, idd_level1)
    assert contents(tree / "data") == before


def kill_between_renames(tree: Path) -> None:
    """Leave what an import leaves that was killed when the old data were moved and the new had not arrived."""
    (tree / "data/raw").rename(tree / "data/.replaced")
    put(tree / "data/.import", {"top/half": b"1"})


def test_an_import_that_was_killed_is_undone_by_the_next_even_if_that_is_refused(
    tree: Path, tmp_path: Path, idd_level1: ClassTable
) -> None:
    before = contents(tree / "data")
    kill_between_renames(tree)
    with pytest.raises(DataRefused):
        install(tree, cut(tmp_path), idd_level1)
    assert contents(tree / "data") == before


def test_an_import_after_one_that_was_killed_replaces_the_old_data(
    tree: Path, new: Path, idd_level1: ClassTable, calls: list[dict[str, bytes]]
) -> None:
    kill_between_renames(tree)
    install(tree, new, idd_level1)
    assert calls == [OLD, NEW]
    assert not [name for name in (".import", ".replaced") if (tree / "data" / name).exists()]


def test_new_data_that_had_arrived_when_an_import_was_killed_stay(tree: Path, idd_level1: ClassTable) -> None:
    (tree / "data/raw").rename(tree / "data/.replaced")
    put(tree / "data/raw", NEW)
    with pytest.raises(UsageError):
        install(tree, tree / "nowhere.zip", idd_level1)
    assert contents(tree / "data/raw") == NEW


@pytest.mark.usefixtures("calls")
def test_the_class_shares_of_the_last_accepted_data_become_the_reference(
    tree: Path, new: Path, idd_level1: ClassTable
) -> None:
    rows = [{"sample": f"train/{n}", "split": "train", "class_pixels": [3, 1, 0, 0, 0, 0, 0, 96]} for n in (1, 2)]
    rows.append({"sample": "test/1", "split": "test", "class_pixels": None})
    write_manifest(tree / "data/manifest.parquet", "manifest", from_rows(rows, "idd-lite", idd_level1))
    install(tree, new, idd_level1)
    reference = read_json(tree / "data/reference.json", "reference", "")
    shares = dict.fromkeys(idd_level1.names, 0.0) | {"drivable": 0.75, "non-drivable": 0.25}
    assert (reference["classes"], reference["shares"]) == ("idd-level1", {"train": shares})


@pytest.mark.usefixtures("calls")
def test_a_quarantine_list_and_a_reference_without_a_manifest_are_left_alone(
    tree: Path, new: Path, idd_level1: ClassTable
) -> None:
    mine = {"quarantine.csv": b"sample,image_sha,reason\na,b,c\n", "reference.json": b'{"mine": 1}\n'}
    put(tree / "data", mine)
    install(tree, new, idd_level1)
    assert mine.items() <= contents(tree / "data").items()


def test_data_raw_itself_is_no_source(tree: Path, idd_level1: ClassTable) -> None:
    with pytest.raises(UsageError, match="is data/raw itself"):
        install(tree, tree / "data/raw", idd_level1)
    assert contents(tree / "data/raw") == OLD


def test_outside_of_a_checkout_nothing_is_imported(tmp_path: Path, new: Path, idd_level1: ClassTable) -> None:
    with pytest.raises(UsageError, match="run from the top of a roadseg checkout"):
        install(tmp_path, new, idd_level1)
    assert not (tmp_path / "data").exists()


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize("top", ["", "idd20k_lite/"])
def test_images_alone_are_a_data_set_though_they_are_one_folder(
    tree: Path, tmp_path: Path, idd_level1: ClassTable, top: str
) -> None:
    files = {"leftImg8bit/test/3/1_image.jpg": b"1"}
    install(tree, put(tmp_path / "images", {top + name: content for name, content in files.items()}), idd_level1)
    assert contents(tree / "data/raw") == files


def test_what_has_no_layout_is_named_as_it_was_given(tree: Path, tmp_path: Path, idd_level1: ClassTable) -> None:
    with pytest.raises(DataRefused, match=f"^{tmp_path / 'other'} has no layout that roadseg knows"):
        install(tree, put(tmp_path / "other", {"top/1.jpg": b"1"}), idd_level1)


@pytest.mark.parametrize("content", ["scan: [", "- 1", "scan: [1]", "scan: 7"])
def test_broken_parameters_are_named_and_nothing_is_imported(
    tmp_path: Path, idd_level1: ClassTable, content: str
) -> None:
    tree = tmp_path / "tree"
    (tree / ".dvc").mkdir(parents=True)
    (tree / "dvc.yaml").write_text("stages: {}\n")
    (tree / "params.yaml").write_text(content)
    with pytest.raises(UsageError, match=r"params\.yaml"):
        install(tree, tmp_path, idd_level1)
    assert not (tree / "data/raw").exists()


def test_the_class_table_in_use_is_kept_with_its_comments_unless_another_is_given(tree: Path, tmp_path: Path) -> None:
    table, source = tree / "data/classes.yaml", put(tmp_path / "new", NEW)
    mine = "# ours\n" + table.read_text().replace("idd-level1", "mine")
    table.write_text(mine)
    install(tree, source, None)
    assert table.read_text() == mine
    install(tree, source, ClassTable.find("road"))
    assert ClassTable.read(table).name == "road"
    table.unlink()
    install(tree, source, None)
    assert ClassTable.read(table).name == "idd-level1"


def test_a_broken_class_table_is_named_before_anything_is_replaced(tree: Path, tmp_path: Path) -> None:
    (tree / "data/classes.yaml").write_text("name: mine\nclasses: []\n")
    with pytest.raises(UsageError, match=r"data/classes\.yaml: classes: "):
        install(tree, put(tmp_path / "new", NEW), None)
    assert contents(tree / "data/raw") == OLD
