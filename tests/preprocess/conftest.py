import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trees import shard_digests

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.manifest import from_rows, write_manifest
from roadseg.preprocess.stage import PreprocessParams, run
from roadseg.scan.describe import describe
from roadseg.scan.layouts.known import LAYOUTS

Make = Callable[..., Path]
Rows = list[dict[str, Any]]
Preprocess = Callable[..., tuple[dict[str, str], int]]
PARAMS = PreprocessParams(height=32, width=48, aspect="stretch", tile=0)


@pytest.fixture(scope="session")
def rows(scenes: Path, idd_level1: ClassTable, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Manifest rows of all scenes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROADSEG_HOME", str(tmp_path_factory.mktemp("home")))
        return describe(scenes, LAYOUTS["idd-lite"].find(scenes), idd_level1)


@pytest.fixture(scope="session")
def make_tree(scenes: Path, idd_level1: ClassTable) -> Make:
    """A folder that holds the scenes and a manifest of these rows."""

    def make(folder: Path, rows: Rows) -> Path:
        write_manifest(folder / "data/manifest.parquet", "manifest", from_rows(rows, "idd-lite", idd_level1))
        if not (folder / "data/raw").exists():
            (folder / "data/raw").symlink_to(scenes)
        return folder

    return make


@pytest.fixture
def preprocess(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Preprocess:
    """Run the stage in a folder; gives the digests of what it wrote and how many shards it decoded."""
    monkeypatch.setenv("ROADSEG_WORKERS", "1")

    def preprocess(tree: Path, params: PreprocessParams = PARAMS) -> tuple[dict[str, str], int]:
        monkeypatch.chdir(tree)
        capsys.readouterr()
        run(preprocess=params)
        decoded = capsys.readouterr().out.split(" shards, ")[1].split()[0]
        return shard_digests(tree), int(decoded)

    return preprocess


@pytest.fixture
def drives(rows: Rows) -> int:
    return len({(row["split"], row["drive"]) for row in rows})


def store() -> Path:
    return Path(os.environ["ROADSEG_HOME"]) / "reuse/shards"
