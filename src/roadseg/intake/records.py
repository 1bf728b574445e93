"""The files beside data/raw that say how it is read and judged."""

from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import replacing, write_json
from roadseg.contracts.manifest import SPLITS, read_manifest
from roadseg.contracts.quarantine import write_quarantine

RECORDS = ("params.yaml", "data/reference.json", "data/classes.yaml", "data/quarantine.csv")
FINDING = {"layout": "auto", "images": "", "masks": ""}  # keys of params.yaml's scan, and what an absent one means


def finding(tree: Path, **given: str | None) -> dict[str, str]:
    """How files are to be found: what is given, else what params.yaml says; see `known.look`."""
    path = tree / "params.yaml"
    scan = (YAML().load(path) or {}).get("scan", {}) if path.exists() else {}
    said = {key: str(scan.get(key, otherwise)) for key, otherwise in FINDING.items()}
    return said | {key: value for key, value in given.items() if value is not None}


def write_records(tree: Path, classes: ClassTable | None, found_by: dict[str, str]) -> None:
    """Write reference, class table and parameters, and an empty quarantine list where there is none.

    Args:
        tree: the folder that holds dvc.yaml.
        classes: the table in use; None leaves data/classes.yaml alone.
        found_by: `finding`, for params.yaml, which is left alone where it says so already.
    """
    _write_reference(tree)
    if classes:
        classes.write(tree / "data/classes.yaml")
    if found_by != finding(tree):
        _write_params(tree / "params.yaml", found_by)
    if not (tree / "data/quarantine.csv").exists():
        write_quarantine(tree / "data/quarantine.csv", [])


def _write_params(path: Path, found_by: dict[str, str]) -> None:
    """Change values only: comments and order stay."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    content = yaml.load(path) or {}
    content.setdefault("scan", {}).update(found_by)
    with replacing(path) as temporary:
        yaml.dump(content, temporary)


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
