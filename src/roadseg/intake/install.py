"""Put a data set at data/raw and give it to DVC; the only writer of data/raw."""

import shutil
from pathlib import Path

import numpy as np

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import replacing, write_json
from roadseg.contracts.manifest import SPLITS, read_manifest
from roadseg.contracts.quarantine import write_quarantine
from roadseg.intake.archive import unpack
from roadseg.pipeline.dvc import dvc
from roadseg.scan.layouts.known import detect

RAW, STAGED, OLD = "data/raw", "data/.import", "data/.replaced"


def install(tree: Path, source: Path, classes: ClassTable) -> str:
    """Import a data set.

    What stands at data/raw is committed to DVC's cache first, then replaced; a broken source changes nothing.

    Args:
        tree: the folder that holds dvc.yaml.
        source: an archive or a folder, see `archive.unpack`.
        classes: the class table of its masks.

    Returns:
        The name of the layout.

    Raises:
        UsageError, DataRefused: see `archive.unpack` and `known.detect`; or DVC is not set up.
    """
    if not (tree / "dvc.yaml").exists() or not (tree / ".dvc").is_dir():
        raise UsageError(f"{tree} holds no dvc.yaml and .dvc: run from the top of a roadseg checkout")
    _recover(tree)
    if source.resolve() == (tree / RAW).resolve():
        raise UsageError(f"{source} is data/raw itself: edit it and run `dvc repro`, or import from elsewhere")
    try:
        staged = unpack(source, tree / STAGED)
        layout = detect(staged)
        if (tree / RAW).exists():
            dvc(tree, "add", "--quiet", RAW)
            (tree / RAW).rename(tree / OLD)
        staged.rename(tree / RAW)
    finally:
        shutil.rmtree(tree / STAGED, ignore_errors=True)
    _write_reference(tree)
    classes.write(tree / "data/classes.yaml")
    if not (tree / "data/quarantine.csv").exists():
        write_quarantine(tree / "data/quarantine.csv", [])
    dvc(tree, "add", "--quiet", RAW)
    shutil.rmtree(tree / OLD, ignore_errors=True)
    return layout


def _recover(tree: Path) -> None:
    """Undo an import that was killed: the old data return where the new ones did not arrive."""
    shutil.rmtree(tree / STAGED, ignore_errors=True)
    if (tree / OLD).exists() and not (tree / RAW).exists():
        (tree / OLD).rename(tree / RAW)
    shutil.rmtree(tree / OLD, ignore_errors=True)  # was in DVC's cache before it was moved


def _write_reference(tree: Path) -> None:
    """Class shares by split of the last accepted data; left alone where no manifest says what was accepted."""
    path, manifest = tree / "data/reference.json", tree / "data/manifest.parquet"
    if not manifest.exists():
        if not path.exists():
            with replacing(path) as temporary:
                temporary.write_text("{}\n")
        return
    accepted = read_manifest(manifest)
    shares = {}
    for split in SPLITS:
        counts = [row["class_pixels"] for row in accepted.records(split) if row["class_pixels"]]
        if counts:
            pixels = np.sum(counts, axis=0)[:-1]
            shares[split] = dict(zip(accepted.classes.names, (pixels / max(1, pixels.sum())).tolist(), strict=True))
    write_json(path, "reference", {"classes": accepted.classes.name, "shares": shares})
