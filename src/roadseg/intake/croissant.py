"""The data's card as Croissant JSON-LD: what the manifest says, for tools that search and load data sets.

Source: Croissant 1.0 of MLCommons.
"""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from roadseg.contracts import paths
from roadseg.contracts.files import digest_file, digest_of, replacing
from roadseg.contracts.manifest import Manifest, read_manifest

CONFORMS = "http://mlcommons.org/croissant/1.0"
TERMS = (  # of Croissant's own vocabulary
    "citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format",
    "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex",
    "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in TERMS},
}
TEXT, WHOLE = "sc:Text", "sc:Integer"
COLUMNS = {  # of the manifest, by what they hold
    "sample": TEXT,
    "image": TEXT,
    "mask": TEXT,
    "drive": TEXT,
    "split": TEXT,
    "image_sha": TEXT,
    "mask_sha": TEXT,
    "height": WHOLE,
    "width": WHOLE,
}


def write_data_card(
    tree: Path, out: Path, *, name: str | None = None, licence: str | None = None, url: str | None = None
) -> None:
    """Write the card; equal data and arguments give equal bytes.

    Args:
        tree: a checkout in which validate has run.
        out: the JSON-LD file; it names the manifest relative to itself.
        name: of the data set; None: as the manifest says, else `road-scenes`.
        licence: a URL or an SPDX name, if it is known.
        url: of the data set's page, if it has one.

    Raises:
        UsageError: the manifest is absent or damaged; says what to run.
    """
    path = tree / paths.MANIFEST
    manifest = read_manifest(path)
    digest = digest_of([manifest.digest(split) for split in ("train", "val", "test")])
    content: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS,
        "name": name or next((each for each in manifest.rows["dataset"].unique().to_pylist() if each), "road-scenes"),
        "description": _description(manifest),
        "version": f"1.0.0+{digest[:12]}",
        **({"license": licence} if licence else {}),
        **({"url": url} if url else {}),
        "keywords": ["semantic segmentation", "road scenes"],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "manifest",
                "name": "manifest",
                "description": f"one row per sample; image and mask are paths below {paths.RAW}",
                "contentUrl": Path(os.path.relpath(path.resolve(), out.resolve().parent)).as_posix(),
                "encodingFormat": "application/x-parquet",
                "sha256": digest_file(path),
            }
        ],
        "recordSet": [_splits(manifest), _classes(manifest), _drives(manifest), _samples()],
    }
    with replacing(out) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _description(manifest: Manifest) -> str:
    counts = Counter(row["split"] for row in manifest.records())
    said = ", ".join(f"{counts[split]} of split {split}" for split in ("train", "val", "test") if counts[split])
    return (
        f"Pictures of roads taken from vehicles, with a mask of {manifest.classes.count} classes "
        f"(table {manifest.classes.name}): {said}."
    )


def _splits(manifest: Manifest) -> dict[str, Any]:
    counts = Counter(row["split"] for row in manifest.records())
    names = {"train": "cr:TrainingSplit", "val": "cr:ValidationSplit", "test": "cr:TestSplit"}
    rows = [{"name": key, "url": url, "images": counts[key]} for key, url in names.items() if counts[key]]
    fields = {"name": TEXT, "url": "sc:URL", "images": WHOLE}
    return _listed("splits", "cr:Split", fields, rows, key="name")


def _classes(manifest: Manifest) -> dict[str, Any]:
    rows = [{"id": entry.id, "name": entry.name, "protected": entry.protected} for entry in manifest.classes.classes]
    fields = {"id": WHOLE, "name": TEXT, "protected": "sc:Boolean"}
    return _listed("classes", "sc:Enumeration", fields, rows, key="id")


def _drives(manifest: Manifest) -> dict[str, Any]:
    counts = Counter((row["split"], row["drive"]) for row in manifest.records() if row["drive"] is not None)
    rows = [{"drive": drive, "split": split, "images": count} for (split, drive), count in sorted(counts.items())]
    return _listed("drives", None, {"drive": TEXT, "split": TEXT, "images": WHOLE}, rows, key=None)


def _listed(
    name: str, kind: str | None, fields: dict[str, str], rows: list[dict[str, Any]], key: str | None
) -> dict[str, Any]:
    """A record set whose rows stand in the card itself."""
    described = [
        {"@type": "cr:Field", "@id": f"{name}/{field}", "name": f"{name}/{field}", "dataType": found}
        for field, found in fields.items()
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        **({"dataType": kind} if kind else {}),
        **({"key": {"@id": f"{name}/{key}"}} if key else {}),
        "field": described,
        "data": [{f"{name}/{field}": value for field, value in row.items()} for row in rows],
    }


def _samples() -> dict[str, Any]:
    def field(column: str, kind: str) -> dict[str, Any]:
        found = {
            "@type": "cr:Field",
            "@id": f"samples/{column}",
            "name": f"samples/{column}",
            "dataType": kind,
            "source": {"fileObject": {"@id": "manifest"}, "extract": {"column": column}},
        }
        return found | ({"references": {"field": {"@id": "splits/name"}}} if column == "split" else {})

    return {
        "@type": "cr:RecordSet",
        "@id": "samples",
        "name": "samples",
        "key": {"@id": "samples/sample"},
        "field": [field(column, kind) for column, kind in COLUMNS.items()],
    }
