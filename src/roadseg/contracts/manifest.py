"""data/scan.parquet and data/manifest.parquet: one row per sample, facts only."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import check_schema, digest_of, replacing, schema_of
from roadseg.contracts.quarantine import Quarantined

SPLITS = ("train", "val", "test")
DIGEST = 2  # how `Manifest.digest` is made; another way wants another number, since old and new cannot be compared
Shares = dict[str, dict[str, float]]  # by split and class name, 0..1
_TEXT, _SIZE, _FIGURE = pa.string(), pa.int32(), pa.float32()
COLUMNS = pa.schema(
    {
        "sample": _TEXT,
        "image": _TEXT,
        "mask": _TEXT,
        "drive": _TEXT,
        "split": _TEXT,
        "image_sha": _TEXT,
        "mask_sha": _TEXT,
        "height": _SIZE,
        "width": _SIZE,
        "mask_height": _SIZE,
        "mask_width": _SIZE,
        "class_pixels": pa.list_(pa.int64()),
        "invalid_ids": pa.list_(pa.int32()),
        "brightness": _FIGURE,
        "contrast": _FIGURE,
        "sharpness": _FIGURE,
        "phash": pa.uint64(),
        "interpolation": _FIGURE,
        "error": _TEXT,
        "coding": _TEXT,
        "orientation": pa.int8(),
        "dataset": _TEXT,
    }
)
LATER = ("coding", "orientation", "dataset")  # absent in files of before: not known


@dataclass(frozen=True)
class Manifest:
    """The rows of a scan or a manifest.

    Attributes:
        rows: Arrow table with `COLUMNS`, sorted by sample; docs/formats.md has their meaning.
        layout: name of the layout that the files were found by.
        classes: the class table they were read with.
    """

    rows: pa.Table
    layout: str
    classes: ClassTable

    @property
    def frame(self) -> pd.DataFrame:
        """The rows as pandas; absent values are None or NaN."""
        frame: pd.DataFrame = self.rows.to_pandas()
        return frame

    def records(self, split: str | None = None, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """The rows as dictionaries, of one split or of all, with some columns or with all."""
        rows = self.rows if split is None else self.rows.filter(pc.field("split") == split)
        found: list[dict[str, Any]] = (rows.select(columns) if columns else rows).to_pylist()
        return found

    def where(self, keep: list[bool]) -> "Manifest":
        """The rows that `keep` marks, in order."""
        return Manifest(self.rows.filter(pa.array(keep, pa.bool_())), self.layout, self.classes)

    def class_pixels(self) -> dict[str, np.ndarray]:
        """Pixels by class, void last, int64 (K + 1), of every split that has readable masks."""
        found = {}
        for split in SPLITS:
            counted = self.rows.filter(pc.field("split") == split)["class_pixels"].drop_null()
            if len(counted):
                pixels = counted.combine_chunks().flatten().to_numpy()
                found[split] = pixels.reshape(-1, self.classes.count + 1).sum(axis=0, dtype=np.int64)
        return found

    def class_shares(self) -> Shares:
        """Shares of the classes by name, void left out, of every split that has pixels of a class."""
        return {
            split: dict(zip(self.classes.names, (pixels[:-1] / pixels[:-1].sum()).tolist(), strict=True))
            for split, pixels in self.class_pixels().items()
            if pixels[:-1].any()
        }

    def without(self, quarantine: Sequence[Quarantined]) -> tuple["Manifest", int]:
        """The rows that are not in quarantine, and how many entries leave one out."""
        entries: dict[str, list[Quarantined]] = {}
        for entry in quarantine:
            entries.setdefault(entry.sample, []).append(entry)
        names = list(zip(self.rows["sample"].to_pylist(), self.rows["image_sha"].to_pylist(), strict=True))
        listed = {name for name in names if any(entry.covers(*name) for entry in entries.get(name[0], ()))}
        return self.where([name not in listed for name in names]), len({sample for sample, _ in listed})

    def digest(self, split: str) -> str:
        """Sha256 of what scores are comparable on: a split's samples, image and mask digests, and the table's identity.

        Version `DIGEST` of it; the first held all of the class table, what paints and judges too.
        """
        rows = sorted([row["sample"], row["image_sha"], row["mask_sha"]] for row in self.records(split))
        return digest_of([rows, self.classes.identity])


def write_manifest(path: Path, name: str, manifest: Manifest) -> None:
    """Write a scan or a manifest, by `name`; equal rows give equal bytes."""
    metadata = {
        "schema": schema_of(name),
        "layout": manifest.layout,
        "classes": json.dumps(manifest.classes.content, sort_keys=True),
    }
    table = manifest.rows.sort_by("sample").cast(COLUMNS).replace_schema_metadata(metadata)
    with replacing(path) as temporary:
        pq.write_table(table, temporary)


def from_rows(rows: list[dict[str, Any]], layout: str, classes: ClassTable) -> Manifest:
    """A manifest from one dictionary per sample; absent keys are null."""
    return Manifest(pa.Table.from_pylist(rows, COLUMNS).sort_by("sample"), layout, classes)


def read_manifest(path: Path, name: str = "manifest", columns: list[str] | None = None) -> Manifest:
    """Read a scan or a manifest.

    Args:
        path: the file.
        name: `scan` or `manifest`.
        columns: those that are needed, which saves memory; all without it.

    Raises:
        UsageError: the file is absent, damaged or of another schema; says what to run.
    """
    remedy = f"dvc repro {'scan' if name == 'scan' else 'validate'}"
    try:
        absent = set(LATER).difference(pq.read_schema(path).names)
        there = columns and [column for column in columns if column not in absent]
        table = pq.read_table(path, columns=there, use_threads=False)  # threads cost more memory than they save time
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: run `{remedy}`") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise UsageError(f"{path} is damaged ({error}): run `{remedy}`") from None
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    check_schema(path, metadata.get("schema"), name, remedy)
    classes = ClassTable.model_validate_json(metadata["classes"])
    for column in LATER:
        if column in absent.intersection(columns or LATER):
            table = table.append_column(column, pa.nulls(len(table), COLUMNS.field(column).type))
    return Manifest(table.replace_schema_metadata(None), metadata["layout"], classes)
