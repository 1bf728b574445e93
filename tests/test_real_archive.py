"""The real IDD Lite where `ROADSEG_IDD_LITE` names it, else generated scenes packed alike, from archive to shards."""

import os
import tarfile
from pathlib import Path

import pytest
from trees import make_checkout, run

from roadseg.contracts.manifest import read_manifest
from roadseg.contracts.shards import Shards


@pytest.fixture
def archive(tmp_path: Path, scenes: Path) -> Path:
    if real := os.environ.get("ROADSEG_IDD_LITE"):
        return Path(real)
    packed = tmp_path / "idd20k_lite.tar.gz"
    with tarfile.open(packed, "w:gz") as opened:
        opened.add(scenes, "idd20k_lite")
    return packed


def test_an_archive_becomes_shards(archive: Path, tmp_path: Path) -> None:
    tree = make_checkout(tmp_path / "tree")
    run(tree, "roadseg", "data", "import", str(archive))
    run(tree, "dvc", "repro", "-q", "preprocess")
    assert (tree / "data/raw/leftImg8bit").is_dir()
    manifest, shards = read_manifest(tree / "data/manifest.parquet"), Shards.open(tree / "data/shards")
    files = len(list((tree / "data/raw/leftImg8bit").rglob("*_image.jpg")))
    assert manifest.rows.num_rows == len(shards.index) == files
    for split in ("train", "val"):
        masks = sum(len(shards.pair(split, name)[1]) for name in shards.drives(split))
        assert masks == len(manifest.records(split)) > 0
        assert sum(shards.class_pixels[split]) == masks * shards.height * shards.width
