"""The real IDD Lite where `ROADSEG_IDD_LITE` names it, else generated scenes packed alike, from archive to shards."""

import os
import tarfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from trees import ROOT, make_checkout, run, scan_params

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused
from roadseg.contracts.manifest import read_manifest
from roadseg.contracts.quarantine import write_quarantine
from roadseg.contracts.shards import Shards
from roadseg.contracts.verdict import read_flagged
from roadseg.intake.archive import unpack
from roadseg.scan import stage as scan
from roadseg.validate import stage as validate
from roadseg.validate.limits import ValidateParams


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


@pytest.fixture
def unpacked(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """data/raw of the current folder, whole, with what scan and validate need beside it."""
    monkeypatch.chdir(tmp_path)
    unpack(archive, tmp_path / "unpacked").rename(tmp_path / "raw")
    (tmp_path / "data").mkdir()
    (tmp_path / "raw").rename(tmp_path / "data/raw")
    ClassTable.find("idd-level1").write(Path("data/classes.yaml"))
    write_quarantine(Path("data/quarantine.csv"), [])
    Path("data/reference.json").write_text("{}\n")
    return Path("data/raw")


def flagged_as_interpolated() -> int:
    limits = yaml.safe_load((ROOT / "params.yaml").read_text())["validate"]
    scan.run(scan=scan_params())
    with suppress(DataRefused):
        validate.run(validate=ValidateParams(**limits))
    rows = read_flagged(Path("reports/flagged.parquet"))
    return sum(row.expectation == "mask_not_interpolated" for row in rows)


def test_masks_as_the_tutorial_resizes_them_are_flagged_and_intact_ones_are_not(unpacked: Path) -> None:
    assert flagged_as_interpolated() == 0
    masks = [path for path in unpacked.glob("gtFine/*/*/*_label.png") if "_inst" not in path.name]
    for path in masks:
        damaged = np.asarray(Image.open(path).resize((128, 128)))
        Image.fromarray(np.where(damaged > 6, np.uint8(255), damaged)).save(path)  # every id is valid
        image = Path(path.as_posix().replace("/gtFine/", "/leftImg8bit/").replace("_label.png", "_image.jpg"))
        Image.open(image).resize((128, 128)).save(image)
    assert flagged_as_interpolated() > 0.99 * len(masks)
