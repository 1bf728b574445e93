from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.manifest import from_rows, write_manifest
from roadseg.scan.describe import describe
from roadseg.scan.layouts.known import LAYOUTS


@pytest.fixture(scope="session")
def rows(scenes: Path, idd_level1: ClassTable, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Manifest rows of all scenes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROADSEG_HOME", str(tmp_path_factory.mktemp("home")))
        return describe(scenes, LAYOUTS["idd-lite"].find(scenes), idd_level1)


@pytest.fixture(scope="session")
def make_tree(scenes: Path, idd_level1: ClassTable) -> Callable[..., Path]:
    """A folder that holds the scenes and a manifest of these rows."""

    def make(folder: Path, rows: list[dict[str, Any]]) -> Path:
        write_manifest(folder / "data/manifest.parquet", "manifest", from_rows(rows, "idd-lite", idd_level1))
        if not (folder / "data/raw").exists():
            (folder / "data/raw").symlink_to(scenes)
        return folder

    return make
