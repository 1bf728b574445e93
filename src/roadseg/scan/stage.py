"""Stage scan: what is in data/raw, facts only; a broken file is a row with an error."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.manifest import from_rows, write_manifest
from roadseg.contracts.params import Section
from roadseg.scan.describe import describe
from roadseg.scan.layouts.known import LAYOUTS, detect

READS = ("data/raw", "data/classes.yaml")
WRITES = ("data/scan.parquet",)


class ScanParams(Section):
    """What scan may be told."""

    layout: Literal["auto", "idd-lite"] = Field(description="how data/raw is laid out; auto looks")


def run(*, scan: ScanParams) -> None:
    """Describe every sample of data/raw."""
    root = Path("data/raw")
    classes = ClassTable.read(Path("data/classes.yaml"))
    layout = detect(root) if scan.layout == "auto" else scan.layout
    found = LAYOUTS[layout].find(root)
    rows = describe(root, found, classes)
    write_manifest(Path("data/scan.parquet"), "scan", from_rows(rows, layout, classes))
    broken = sum(row["error"] is not None for row in rows)
    print(f"scan: {len(rows)} samples in layout {layout}, {broken} with a file that cannot be read")
