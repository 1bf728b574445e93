"""A small data set with drives to train, validate and label, and a model that has been wrong about it ever since."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import painter
from handmade import batch_of
from inboxes import put_drive
from small_sets import judge, make_tree, save, scene

from roadseg.contracts.classes import ClassTable
from roadseg.intake import install as installing
from roadseg.intake import merge, places
from roadseg.intake.install import install
from roadseg.labelling.batch import Batch, open_batch

UNLABELLED = {"test/7": 3, "test/8": 2}  # drives, and their frames


@pytest.fixture
def no_dvc(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Calls of DVC, in its place."""
    calls: list[tuple[str, ...]] = []
    for module in (installing, merge, places):
        monkeypatch.setattr(module, "dvc", lambda tree, *words: calls.append(words))
    return calls


@pytest.fixture(scope="session")
def set_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree, made once; copy it."""
    tree = make_tree(tmp_path_factory.mktemp("labelled") / "tree")
    source = tree.with_name("source")
    for number, split in enumerate(("train", "train", "train", "val", "val"), 1):
        put_drive(source, f"{split}/{number}", seed=number)
    for name, frames in UNLABELLED.items():
        for frame in range(frames):
            save(source / f"leftImg8bit/{name}/{frame}_image.jpg", scene(1000 * int(name[-1]) + frame))
    with pytest.MonkeyPatch.context() as patch:
        for module in (installing, merge, places):
            patch.setattr(module, "dvc", lambda *_: None)
        patch.chdir(tree)
        patch.setenv("ROADSEG_HOME", str(tree.with_name("home")))
        install(tree, source, ClassTable.find("idd-level1"), name="town")
        judge()
    return tree


@pytest.fixture
def tree(set_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_dvc: list[tuple[str, ...]]) -> Path:
    """A copy, which is the current folder."""
    copy = Path(shutil.copytree(set_once, tmp_path / "tree"))
    monkeypatch.chdir(copy)
    return copy


@pytest.fixture
def batch(set_once: Path) -> Batch:
    """A batch `one` of three pictures of both test drives, in the test's own home; made without a model."""
    return open_batch(batch_of(set_once, ["test/7/0", "test/7/2", "test/8/1"]).name)


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Bytes of every file below a folder, by path."""

    def read(folder: Path) -> dict[str, bytes]:
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    return read


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model that answers by colour."""
    folder = tmp_path_factory.mktemp("model")
    painter(folder, ClassTable.find("idd-level1"), sure=8.0, model="painter")
    return folder


@pytest.fixture
def with_model(tree: Path, bundle: Path) -> Path:
    """The tree, in which a model has been trained."""
    shutil.copytree(bundle, tree / "models/bundle")
    return tree
