"""Stage scan: what is in data/raw, facts only; a broken file is a row with an error."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from roadseg.contracts import paths
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.manifest import Manifest, from_rows, write_manifest
from roadseg.contracts.params import Section
from roadseg.contracts.splits import read_splits, splits_of
from roadseg.scan.agreement import note_contradictions, table_of
from roadseg.scan.describe import describe
from roadseg.scan.layouts.known import look
from roadseg.scan.splits import Shares, assign_splits, unit_of

READS = (paths.RAW, paths.CLASSES, paths.SPLITS)
WRITES = (paths.SCAN,)
NONE: Mapping[str, str] = {}


class ScanParams(Section):
    """What scan may be told."""

    layout: Literal["auto", "idd-lite", "idd-20k", "numbered", "folders"] = Field(
        description="how data/raw is laid out; auto looks"
    )
    images: str = Field(description="pattern of the images, as rgb/{split}/{drive}/{id}.jpg; empty to look")
    masks: str = Field(description="pattern of the masks, as ids/{split}/{drive}/{id}.png; empty to look")
    split: Literal["auto", "folders", "lists", "drive"] = Field(
        description="by folders, by lists (train.txt, val.txt, test.txt) or made by drive; auto: the first there is"
    )
    val_share: float = Field(ge=0, lt=1, description="share of the drives that a made split gives to val")
    test_share: float = Field(ge=0, lt=1, description="share of the drives that a made split gives to test")
    seed: int = Field(ge=0, description="decides a made split; another number gives another one")
    dataset: str = Field(description="name of the data set, which import writes; empty where it is not known")


def run(*, scan: ScanParams) -> None:
    """Describe every sample of data/raw."""
    decided = splits_of(read_splits(paths.SPLITS), scan.dataset)
    found = scanned(paths.RAW, ClassTable.read(paths.CLASSES), scan, decided)
    write_manifest(paths.SCAN, "scan", found)
    broken = len(found.rows) - found.rows["error"].null_count
    print(f"scan: {len(found.rows)} samples in layout {found.layout}, {broken} with a file that cannot be read")


def scanned(root: Path, classes: ClassTable, scan: ScanParams, decided: Mapping[str, str] = NONE) -> Manifest:
    """Describe every sample below a folder; `decided` as in `assign_splits`; errors as in that and in `look`."""
    layout, found = look(root, scan.layout, scan.images, scan.masks)
    if absent := sorted(decided.keys() - {unit_of(one) for one in found}):
        print(f"scan: {paths.SPLITS} has {len(absent)} drives that are not in {root}, such as {absent[0]}")
    found = assign_splits(found, root, scan.split, Shares(scan.val_share, scan.test_share, scan.seed), decided)
    rows = describe(root, found, classes, layout)
    if (settled := table_of(rows, classes)) != classes:
        print(f"scan: masks hold 255 beside another value of its class, so {classes.name} is read with 255 as void")
        classes, rows = settled, describe(root, found, settled, layout)
    note_contradictions(rows, classes)
    return from_rows([row | {"dataset": scan.dataset or None} for row in rows], layout, classes)
