"""One drive from files to arrays of the working size."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from roadseg.contracts.classes import VOID, ClassTable
from roadseg.contracts.errors import DataRefused
from roadseg.contracts.files import failpoint
from roadseg.contracts.framing import Framing
from roadseg.contracts.shards import ArrayWriter
from roadseg.imaging.masks import decode_classes
from roadseg.imaging.pixels import Undecodable, decode_resized, read_bytes
from roadseg.imaging.tiles import cut

PADDING = 0
FILES = {kind: Path(f"{kind}.npy") for kind in ("image", "mask")}
FAILPOINTS = tuple(f"{file}:{point}" for file in FILES.values() for point in ("write", "written"))
Row = dict[str, Any]


@dataclass(frozen=True)
class Encoded:
    """What one drive became.

    Attributes:
        digests: sha256 of each file by kind, image and, where a sample is labelled, mask.
        pixels: by class, void last; zeros where no sample is labelled.
    """

    digests: dict[str, str]
    pixels: list[int]


def encode(raw: Path, samples: list[Row], folder: Path, classes: ClassTable, framing: Framing) -> Encoded:
    """Decode, scale, cut and write one drive; memory holds one sample, however long the drive.

    Args:
        raw: the data's folder.
        samples: manifest rows of the drive, in order.
        folder: to write `image.npy` and `mask.npy` into.
        classes: the table by which masks are read.
        framing: how frames become tiles.

    Raises:
        DataRefused: a file cannot be decoded; names it.
    """
    tiles = sum(len(framing.tiles(row["height"], row["width"])) for row in samples)
    shape = (tiles, framing.height, framing.width)
    with _writer(folder, "image", (*shape, 3)) as images:
        for row in samples:
            with _scanned(f"{raw}/{row['image']}", row["image_sha"]) as content:
                images.append(_image(content, framing, row["height"], row["width"]))
    digests, pixels = {"image": images.digest}, np.zeros(classes.count + 1, np.int64)
    if any(row["mask"] for row in samples):  # a shard is labelled whole or not at all
        with _writer(folder, "mask", shape) as masks:
            for mask in _masks(raw, samples, classes, framing):
                masks.append(mask)
                pixels += _counts(mask, classes.count)
        digests["mask"] = masks.digest
    return Encoded(digests, pixels.tolist())


@contextmanager
def _writer(folder: Path, kind: str, shape: tuple[int, ...]) -> Iterator[ArrayWriter]:
    failpoint(f"{FILES[kind]}:write")
    with ArrayWriter(folder / FILES[kind], shape) as writer:
        yield writer
    failpoint(f"{FILES[kind]}:written")


def _counts(mask: np.ndarray, classes: int) -> np.ndarray:
    """Pixels by class, void last; Pillow's histogram is five times as fast as bincount on bytes."""
    histogram = np.array(Image.fromarray(mask.reshape(-1, mask.shape[-1])).histogram())
    return np.append(histogram[:classes], histogram[classes:].sum())


def _image(content: bytes, framing: Framing, height: int, width: int) -> np.ndarray:
    y0, x0, y1, x1 = framing.place(height, width)
    return cut(decode_resized(content, y1 - y0, x1 - x0), framing, height, width, PADDING)


@contextmanager
def _scanned(path: str, digest: str) -> Iterator[bytes]:
    """A file's bytes, to decode inside: those that were scanned, since home serves them by that digest for long.

    Not by a `Path`, which interns every name: the table of those is made anew time and again, megabytes a worker.
    """
    try:
        content = read_bytes(path)
        if hashlib.sha256(content).hexdigest() != digest:
            raise DataRefused(f"{path}: changed since it was scanned: run `dvc repro`")
        yield content
    except Undecodable as error:
        raise DataRefused(f"{path}: {error}; it was whole when it was scanned: repair it, or run `dvc repro`") from None


def _masks(raw: Path, samples: list[Row], classes: ClassTable, framing: Framing) -> Iterator[np.ndarray]:
    """The tiles of each sample's mask, void where it has none."""
    for row in samples:
        y0, x0, y1, x1 = framing.place(row["height"], row["width"])
        scaled = np.full((y1 - y0, x1 - x0), VOID, np.uint8)
        if row["mask"]:
            with _scanned(f"{raw}/{row['mask']}", row["mask_sha"]) as content:
                scaled = decode_classes(content, row["mask"], classes, (y1 - y0, x1 - x0), row.get("coding"))[0]
        yield cut(scaled, framing, row["height"], row["width"], VOID)
