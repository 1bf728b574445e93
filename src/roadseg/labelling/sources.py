"""The pictures that may be picked: a folder's, a server's kept frames, or the test split's; in the order of time."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.contracts.manifest import Manifest
from roadseg.drift.frames import Frame, frames_in

TEST = "test"


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
        given: `test`, for the pictures of the test split that have no mask, or a folder, see `frames_in`.
        tree: the checkout.
        manifest: its manifest.

    Raises:
        UsageError: there is no such folder or no picture, or the folder is in data/raw.
    """
    if given == TEST:
        rows = [row for row in manifest.records(TEST) if row["image"] and not row["mask"]]
        if not rows:
            raise UsageError(f"{paths.MANIFEST} holds no test picture without a mask: name a folder of pictures")
        rows.sort(key=lambda row: (row["drive"] or "", by_number(row["image"])))
        raw = tree / paths.RAW
        return Source(TEST, [Frame(row["sample"], raw / row["image"], row["drive"] or "") for row in rows], rows)
    folder = Path(given).absolute()
    if folder.resolve().is_relative_to((tree / paths.RAW).resolve()):
        raise UsageError(f"{given} is in {paths.RAW}: pick from `test`, or from pictures that are not among the data")
    frames = frames_in(folder, by_chance=False)
    if frames[0].time is None:
        frames.sort(key=lambda frame: (frame.drive, by_number(frame.name)))
    return Source(str(folder), frames, [])


def by_number(name: str) -> list[tuple[int, str]]:
    """A key by which frame 2 comes before frame 10."""
    return [(int(piece) if piece.isdecimal() else -1, piece) for piece in re.split(r"(\d+)", name)]
