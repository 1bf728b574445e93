"""Repositories with a small data set, and what stands in for DVC where its second a call would be the test's time."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.intake import install, merge, places

OLD = {"leftImg8bit/train/1/1_image.jpg": b"old image", "gtFine/train/1/1_label.png": b"old mask"}
NEW = {"leftImg8bit/train/2/frame7_image.jpg": b"new image", "gtFine/train/2/frame7_label.png": b"new mask"}
PARAMS = "# mine\nscan:\n  layout: auto # looks\n  seed: 0\ntrain:\n  learning_rate: 2.0e-3\n"


def put(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that takes DVC's place as cache: each call leaves a copy of data/raw in it."""
    cache = tmp_path / "cache"
    cache.mkdir()

    def keep(tree: Path, *_: str) -> None:
        shutil.copytree(tree / "data/raw", cache / str(len(list(cache.iterdir()))))

    for module in (install, merge, places):
        monkeypatch.setattr(module, "dvc", keep)
    return cache


@pytest.fixture
def make_tree(tmp_path: Path, idd_level1: ClassTable, cached: Path) -> Callable[[str], Path]:
    """Make a repository in which the old data were imported."""

    def make(name: str) -> Path:
        tree = put(tmp_path / name, {"dvc.yaml": b"stages: {}\n", "params.yaml": PARAMS.encode()})
        (tree / ".dvc").mkdir()
        install.install(tree, put(tmp_path / "old", OLD), idd_level1)
        return tree

    return make
