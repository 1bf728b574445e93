"""Figures of many pictures, and of a model's answers to them."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from roadseg.drift.figures import answer_figures, picture_figures
from roadseg.drift.frames import Frame
from roadseg.imaging.pixels import Undecodable, decode_image, naming, read_bytes
from roadseg.machine.workers import map_ahead

if TYPE_CHECKING:
    from roadseg.predict.predictor import Predictor

AHEAD = 8  # pictures in memory that wait for the model


def measure(frames: Sequence[Frame], predictor: "Predictor | None" = None) -> tuple[pd.DataFrame, list[str]]:
    """Figures of frames, and of a model's answers where one is given.

    Args:
        frames: to read.
        predictor: answers them.

    Returns:
        A row per frame, `name`, `drive` and the figures, in order; and why others could not be decoded, or
        are not the pictures that were wanted.
    """
    faults: list[str] = []
    taken: list[dict[str, object]] = []  # figures of the pictures that the predictor was given

    def images() -> Iterator[np.ndarray]:
        with ThreadPoolExecutor(2) as readers:
            for frame, found in zip(frames, map_ahead(readers, _read, frames, AHEAD), strict=True):
                if isinstance(found, str):
                    faults.append(found)
                    continue
                image, figures = found
                taken.append({"name": frame.name, "drive": frame.drive, **figures})
                yield image

    if predictor is None:
        for _ in images():
            pass
        return pd.DataFrame(taken), faults
    names = predictor.bundle.classes.names
    answers = [answer_figures(ids, confidence, names) for ids, confidence in predictor.with_confidence(images())]
    return pd.DataFrame([row | answer for row, answer in zip(taken, answers, strict=True)]), faults


def _read(frame: Frame) -> tuple[np.ndarray, dict[str, float]] | str:
    try:
        with naming(frame.path):
            content = read_bytes(frame.path)
            if frame.sha not in (None, hashlib.sha256(content).hexdigest()):
                return f"{frame.path}: holds other bytes than those of digest {frame.sha}"
            image = decode_image(content)
    except Undecodable as error:
        return str(error)
    return image, picture_figures(image)
