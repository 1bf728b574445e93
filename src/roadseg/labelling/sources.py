"""The pictures that may be picked: the test split's, those that are left out, or a folder's; in the order of time."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadseg.contracts import paths
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.manifest import Manifest, read_manifest
from roadseg.contracts.quarantine import read_quarantine
from roadseg.drift.frames import Frame, frames_in
from roadseg.labelling.batch import UNLABELLED

TEST, LEFT_OUT = "test", "left-out"
COLUMNS = ["sample", "image", "mask", "drive", "split", "image_sha"]


class NothingLeft(DataRefused):
    """No picture of the source is worth labelling that is not labelled or picked already."""


@dataclass(frozen=True)
class Source:
    """Where pictures come from.

    Attributes:
        name: what a person called it; a folder's is absolute.
        frames: drive by drive, each in the order of time.
        rows: of the manifest, in the same order, where the pictures are in data/raw; else empty.
    """

    name: str
    frames: list[Frame]
    rows: list[dict[str, Any]]


def find_source(given: str, tree: Path, manifest: Manifest) -> Source:
    """Find pictures that can be picked.

    Args:
        given: `test`, for the pictures of the test split that have no mask; `left-out`, for those that stay without one
            of drives that were imported; or a folder, also of a server's kept frames, see `frames_in`.
        tree: the checkout.
        manifest: its manifest.

    Raises:
        UsageError: there is no such folder or no picture, or the folder is in data/raw.
    """
    if given in (TEST, LEFT_OUT):
        rows = _left_out(tree) if given == LEFT_OUT else _of_test(manifest)
        rows.sort(key=lambda row: (row["drive"] or "", by_number(row["image"])))
        raw = tree / paths.RAW
        return Source(given, [Frame(row["sample"], raw / row["image"], row["drive"] or "") for row in rows], rows)
    folder = Path(given).absolute()
    if folder.resolve().is_relative_to((tree / paths.RAW).resolve()):
        raise UsageError(f"{given} is in {paths.RAW}: pick from `test`, or from pictures that are not among the data")
    frames = frames_in(folder, by_chance=False)
    if frames[0].time is None:
        frames.sort(key=lambda frame: (frame.drive, by_number(frame.name)))
    return Source(str(folder), frames, [])


def _of_test(manifest: Manifest) -> list[dict[str, Any]]:
    rows = [row for row in manifest.records(TEST, COLUMNS) if row["image"] and not row["mask"]]
    if not rows:
        raise UsageError(f"{paths.MANIFEST} holds no test picture without a mask: name a folder of pictures")
    return rows


def _left_out(tree: Path) -> list[dict[str, Any]]:
    """Of the scan, since the manifest lacks what is in quarantine."""
    found = read_manifest(tree / paths.SCAN, "scan", COLUMNS).records()
    listed = {one.sample: one for one in read_quarantine(tree / paths.QUARANTINE) if one.reason.startswith(UNLABELLED)}
    bare = [row for row in found if row["image"] and not row["mask"] and row["sample"] in listed]
    rows = [row for row in bare if listed[row["sample"]].covers(row["sample"], row["image_sha"])]
    if not rows:
        raise UsageError(
            f"{paths.QUARANTINE} lists no picture of the scan as {UNLABELLED}: `dvc repro` after an import"
        )
    return rows


def by_number(name: str) -> list[tuple[int, str]]:
    """A key by which frame 2 comes before frame 10."""
    return [(int(piece) if piece.isdecimal() else -1, piece) for piece in re.split(r"(\d+)", name)]
