from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.manifest import from_rows, write_manifest
from roadseg.scan.layouts.known import LAYOUTS
from roadseg.scan.statistics import facts


@pytest.fixture(scope="session")
def rows(scenes: Path, idd_level1: ClassTable) -> list[dict[str, Any]]:
    """Manifest rows of all scenes."""
    return [facts(scenes, found, idd_level1) for found in LAYOUTS["idd-lite"].find(scenes)]


@pytest.fixture(scope="session")
def make_tree(scenes: Path, idd_level1: ClassTable) -> Callable[..., Path]:
    """A folder that holds the scenes and a manifest of these rows."""

    def make(folder: Path, rows: list[dict[str, Any]]) -> Path:
        write_manifest(folder / "data/manifest.parquet", "manifest", from_rows(rows, "idd-lite", idd_level1))
        if not (folder / "data/raw").exists():
            (folder / "data/raw").symlink_to(scenes)
        return folder

    return make
