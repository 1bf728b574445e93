"""The page about the data: a view of files, one HTML file that works offline and can be made again at any time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import digest_file
from roadseg.contracts.manifest import Manifest, Shares, read_manifest
from roadseg.contracts.reference import read_reference
from roadseg.pages import figures
from roadseg.pages.changes import Changes, compare
from roadseg.pages.gallery import galleries
from roadseg.pages.judgement import read_judgement
from roadseg.pages.rendering import render, write_page
from roadseg.pipeline.history import Earlier, earlier_version

NAMED = 200  # samples that a list of changes names


def write_data_page(tree: Path, out: Path, pictures: bool = True) -> None:
    """Write the page of a tree in which scan and validate have run; see `render_data_page`."""
    write_page(out, render_data_page(tree, pictures))


def render_data_page(tree: Path, pictures: bool = True) -> str:
    """The verdict, every expectation, failing samples, figures of the data and what has changed, as HTML.

    Args:
        tree: a checkout in which scan and validate have run, whether validate accepted or refused.
        pictures: whether failing samples are shown; their names and reasons always are.

    Returns:
        HTML that needs no other file and holds no time or host; equal files give equal text.

    Raises:
        UsageError: a file of the graph is missing or damaged; says what to run.
    """
    judgement = read_judgement(tree)
    frame = judgement.judged.frame
    changes, earlier = _changes(tree, judgement.scan)
    reference = _reference(tree / paths.REFERENCE, judgement.scan.classes.name)
    return render(
        "data.html",
        judgement=judgement,
        classes=judgement.scan.classes,
        scan_digest=digest_file(tree / paths.SCAN),
        val_digest=judgement.judged.digest("val") if judgement.accepted else None,
        galleries=galleries(judgement, tree / paths.RAW, pictures),
        pictures=pictures,
        counts=figures.sample_counts(frame),
        shares=_class_table(judgement.judged, reference),
        drives=int(frame["drive"].nunique()),
        histogram=figures.drive_histogram(frame),
        largest=figures.largest_drives(frame),
        sizes=figures.picture_sizes(frame),
        facts=figures.picture_facts(frame),
        earlier=earlier,
        changes=changes,
        named=NAMED,
    )


@dataclass(frozen=True)
class ClassTableRows:
    """Class shares as the page shows them.

    Attributes:
        splits: those with masks.
        rows: per class `name`, `color`, and `cells`: by split the share and its shift against the reference or None.
        void: share of void among all pixels, by split.
        largest: the largest share, which has the whole length of a bar.
        reference: whether there is one to compare with.
    """

    splits: list[str]
    rows: list[dict[str, Any]]
    void: list[float]
    largest: float
    reference: bool


def _class_table(judged: Manifest, reference: Shares) -> ClassTableRows:
    shares, pixels = judged.class_shares(), judged.class_pixels()
    rows = []
    for entry in judged.classes.classes:
        cells = []
        for split, share in shares.items():
            known = reference.get(split, {}).get(entry.name)
            cells.append((share[entry.name], None if known is None else share[entry.name] - known))
        rows.append({"name": entry.name, "color": entry.color, "protected": entry.protected, "cells": cells})
    void = [float(pixels[split][-1] / pixels[split].sum()) for split in shares]
    largest = max((share for by_name in shares.values() for share in by_name.values()), default=1.0)
    return ClassTableRows(list(shares), rows, void, largest, bool(reference))


def _reference(path: Path, table: str) -> Shares:
    """What validate compares shares with; the page leaves it to validate to complain of a damaged one."""
    try:
        return read_reference(path, table)
    except UsageError:
        return {}


def _changes(tree: Path, now: Manifest) -> tuple[Changes | None, Earlier | None]:
    """Compare with the last committed version; no changes where there is none, or none that can be read."""
    earlier = earlier_version(tree, str(paths.SCAN))
    if earlier is None or earlier.path is None:
        return None, earlier
    try:
        return compare(read_manifest(earlier.path, "scan"), now), earlier
    except UsageError:  # written by a version with another schema
        return None, earlier
