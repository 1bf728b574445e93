"""A checkout of generated scenes with a model that knows each class by its colour, and batches picked in it."""

import shutil
from pathlib import Path

from bundles import painter
from trees import ROOT, scan_params

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.manifest import Manifest, read_manifest, write_manifest
from roadseg.labelling.batch import Batch
from roadseg.labelling.choose import By
from roadseg.labelling.embedding import Embedder
from roadseg.labelling.pick import Wanted, pick_batch
from roadseg.labelling.sources import find_source
from roadseg.predict.predictor import Predictor
from roadseg.scan.stage import scanned


def scene_tree(tree: Path, raw: Path) -> Path:
    """A folder with scenes as data/raw, their manifest and a model; no graph has run and DVC knows nothing of it."""
    (tree / "data").mkdir(parents=True)
    (tree / "data/raw").symlink_to(raw)
    shutil.copy2(ROOT / "params.yaml", tree)
    classes = ClassTable.find("idd-level1")
    classes.write(tree / "data/classes.yaml")
    write_manifest(tree / "data/manifest.parquet", "manifest", scanned(raw, classes, scan_params()))
    painter(tree / "models/bundle", classes, sure=5.0, model="painter")
    return tree


def picked(tree: Path, source: str = "test", count: int = 4, by: By = "mixed", **wanted: str) -> Batch:
    """A batch of the tree's own model."""
    manifest, bundle = read_manifest(tree / "data/manifest.parquet"), Bundle.open(tree / "models/bundle")
    return picked_of(tree, manifest, bundle, source, count, by, **wanted)


def picked_of(
    tree: Path, manifest: Manifest, bundle: Bundle, source: str, count: int, by: By = "mixed", **wanted: str
) -> Batch:
    """A batch of any model."""
    asked = Wanted(count, by, **{"split": "train", "name": "", "model": "ours", "bits": 4} | wanted)  # type: ignore[arg-type]
    found = find_source(source, tree, manifest)
    return pick_batch(found, tree, manifest, Predictor(bundle, batch=4), Embedder(bundle), asked)[0]
