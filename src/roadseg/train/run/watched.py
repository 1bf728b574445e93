"""A run folder's `watched/`: a few monitored images, always the same, and what the model sees in them by epoch."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import replacing

SCHEMA, FOLDER = "roadseg/watched/1", "watched"
IMAGES = f"{FOLDER}/images.npz"


@dataclass(frozen=True)
class Watched:
    """After one epoch.

    Attributes:
        images: uint8 (n, H, W, 3).
        truth: uint8 (n, H, W), ids and void.
        guess: uint8 (n, h, w), ids at the model's training output; H and W are multiples of h and w.
        classes: what the ids mean.
    """

    images: np.ndarray
    truth: np.ndarray
    guess: np.ndarray
    classes: ClassTable


def write_watched(folder: Path, images: np.ndarray, truth: np.ndarray, classes: ClassTable) -> None:
    """Keep the images and their masks in a run folder, once for all epochs."""
    known = np.frombuffer(classes.model_dump_json().encode(), np.uint8)
    with replacing(folder / IMAGES) as temporary, temporary.open("wb") as opened:
        np.savez_compressed(opened, schema=SCHEMA, images=images, truth=truth, classes=known)


def write_guess(folder: Path, epoch: int, guess: np.ndarray) -> None:
    """Keep what the model sees in them after an epoch."""
    with replacing(_place(folder, epoch)) as temporary, temporary.open("wb") as opened:
        np.savez_compressed(opened, schema=SCHEMA, guess=guess)


def read_watched(folder: Path, epoch: int) -> Watched | None:
    """What was kept after an epoch; None where it is gone, damaged or of another schema: it is worth no error."""
    try:
        with (
            (folder / IMAGES).open("rb") as images,  # numpy leaves open what it opened and found damaged
            _place(folder, epoch).open("rb") as guess,
            np.load(images) as kept,
            np.load(guess) as seen,
        ):
            if not kept["schema"] == seen["schema"] == SCHEMA:
                return None
            classes = ClassTable.model_validate_json(kept["classes"].tobytes())
            return Watched(kept["images"], kept["truth"], seen["guess"], classes)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):  # pydantic's error is a ValueError
        return None


def _place(folder: Path, epoch: int) -> Path:
    return folder / FOLDER / f"{epoch}.npz"
