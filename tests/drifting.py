"""Generated scenes as a champion's data and as new pictures, and a model that answers them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from bundles import painter
from PIL import Image

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.classes import ClassTable
from roadseg.drift.finding import Seen, find_drift
from roadseg.drift.frames import Frame, frames_in
from roadseg.drift.measure import measure
from roadseg.drift.reference import Reference
from roadseg.imaging.pixels import read_image
from roadseg.predict.predictor import Predictor
from roadseg.synthetic.dataset import FRAMES_PER_DRIVE, generate

EACH = 2  # frames of a drive that are used
DRIVES = {"train": 22, "val": 12, "test": 10}


def scenes_of_drives(folder: Path) -> Path:
    """Many drives of few frames, in IDD Lite's layout; test has the new ones."""
    generate(folder, **{split: FRAMES_PER_DRIVE * count for split, count in DRIVES.items()}, seed=3)
    return folder


def frames(raw: Path, split: str) -> list[Frame]:
    """The first frames of each drive of a split."""
    found = frames_in(raw / "leftImg8bit" / split)
    return [frame for number, frame in enumerate(found) if number % FRAMES_PER_DRIVE < EACH]


def predictor_in(folder: Path) -> Predictor:
    """A model that knows each class by its colour, and has been wrong about scenes ever since."""
    painter(folder, ClassTable.find("idd-level1"), sure=5.0, model="painter")
    return Predictor(Bundle.open(folder), batch=4)


def reference_of(raw: Path, predictor: Predictor) -> Reference:
    """What is known of train and val."""
    parts = {"train": measure(frames(raw, "train"))[0], "val": measure(frames(raw, "val"), predictor)[0]}
    rows = pd.concat([rows.assign(split=split) for split, rows in parts.items()], ignore_index=True)
    return Reference(rows, predictor.bundle.card["weights"], {})


def new_pictures(raw: Path, folder: Path, harm: Callable[[np.ndarray], np.ndarray] = lambda image: image) -> Path:
    """Write the new drives, made worse, as a folder of pictures."""
    for frame in frames(raw, "test"):
        target = folder / Path(frame.name).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(harm(read_image(frame.path))).save(target, compress_level=1)
    return folder


def seen_in(folder: Path, reference: Reference, predictor: Predictor) -> Seen:
    """What the champion makes of a folder."""
    new, faults = measure(frames_in(folder), predictor)
    return Seen(7, predictor, reference, new, find_drift(reference, new, permutations=2000, faults=faults))
