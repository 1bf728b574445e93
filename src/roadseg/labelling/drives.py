"""What drives of a source are called in data/raw, so that two never become one and none is in two splits."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from roadseg.contracts.files import read_json, write_json
from roadseg.contracts.manifest import Manifest
from roadseg.labelling.batch import Batch
from roadseg.labelling.sources import TEST, Source

PLAIN = re.compile(r"[^A-Za-z0-9]+")
NAMES = "drives.json"


def name_drives(
    source: Source, drives: Iterable[str], manifest: Manifest, others: list[Batch], batch: Batch
) -> dict[str, str]:
    """The name of each drive in data/raw: as an earlier batch of this source called it, else a free one.

    Free of what is in the data and of what any batch has, whatever its source: it may be imported at any time.
    """
    before = {name: called for other in others if other.source == source.name for name, called in _named(other)}
    present = {drive for drive in manifest.rows["drive"].unique().to_pylist() if drive}
    taken = present | set(before.values()) | {pick.drive for other in others for pick in other.picks}
    names: dict[str, str] = {}
    for drive in dict.fromkeys(drives):
        if source.rows or not present:
            names[drive] = drive if source.rows else ""  # as it is; or the data know no drives
            continue
        called = plain(drive)[-60:] or plain(Path(source.name).name)[-60:] or batch.name
        names[drive] = before[drive] if drive in before else _free(called, batch.name, taken)
        taken.add(names[drive])
    write_json(batch.folder / NAMES, "label-drives", {"drives": names})
    return names


def leave_out_other_split(source: Source, pictures: np.ndarray, others: list[Batch], split: str) -> None:
    """No drive comes into train by one batch and into val by another: of such pictures `sha` is made zero.

    Args:
        source, pictures: what is picked from, and its figures, of `measure.kind_of`.
        others: the batches that there are.
        split: that the new batch gets.
    """
    split_of = {name: other.split for other in others if other.source == source.name for name, _ in _named(other)}
    for place, frame in enumerate(source.frames):
        now = source.rows[place]["split"] if source.rows else TEST
        if split_of.get(frame.drive, split) != split or now not in (TEST, split):
            pictures[place]["sha"] = 0


def plain(name: str) -> str:
    """Letters, digits and - of a name, which every tool and disk keeps as they are."""
    return PLAIN.sub("-", name).strip("-")


def _free(called: str, batch: str, taken: set[str]) -> str:
    free, number = called, 1
    while free in taken:
        free = f"{batch}-{called}" + (f"-{number}" if number > 1 else "")
        number += 1
    return free


def _named(batch: Batch) -> list[tuple[str, str]]:
    path = batch.folder / NAMES
    return list(read_json(path, "label-drives", "roadseg label pick")["drives"].items()) if path.exists() else []
