"""What is measured of each picture before any is picked, part by part, so that a kill loses little."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from roadseg.contracts.errors import DataRefused
from roadseg.contracts.files import replacing
from roadseg.drift.frames import Frame
from roadseg.imaging.pixels import Undecodable, decode_image, naming, read_bytes
from roadseg.labelling.disputes import MIN_SHARE, near_outlines
from roadseg.scan.statistics import GREY, perceptual_hash

if TYPE_CHECKING:
    from roadseg.labelling.embedding import Embedder
    from roadseg.predict.predictor import Predictor

UNSURE = 0.7  # probability of the likeliest class below which a pixel is unsure
SIDE = 640  # pixels: of larger answers every second, third, ... is looked at
PART = 256  # pictures that are measured between two writes


@dataclass(frozen=True)
class Looked:
    """What a model's answer says of one picture.

    Attributes:
        unsure: bool (h, w), areas in which the model is unsure, away from outlines.
        doubt: one less the likeliest class's probability, mean over the picture, 0..1.
        shares: float32 (K,), mean probability of each class.
    """

    unsure: np.ndarray
    doubt: float
    shares: np.ndarray


def judge_answer(probabilities: np.ndarray) -> Looked:
    """Find where a model does not know: over areas, as `disputed_areas`, since every outline is unsure.

    Args:
        probabilities: float32 (H, W, K); h and w are those of every n-th pixel where a side is over `SIDE`.
    """
    step = -(-max(probabilities.shape[:2]) // SIDE)
    seen = probabilities[::step, ::step]
    best, answer = seen.max(-1), seen.argmax(-1).astype(np.uint8)
    areas, count = ndimage.label(best < UNSURE)
    inside = np.bincount(areas[~near_outlines(answer)], minlength=count + 1)
    kept = inside >= MIN_SHARE * answer.size
    kept[0] = False
    return Looked(kept[areas], float(1 - best.mean(dtype=np.float64)), seen.mean((0, 1), dtype=np.float64))


def kind_of(classes: int, width: int) -> np.dtype[np.void]:
    """What is kept of a picture: about 200 bytes.

    `sha` are the bytes of its sha256, all zero where it cannot be read; `contrast` as in the scan.
    """
    fields: list[tuple[str, object] | tuple[str, object, tuple[int, ...]]] = [
        ("sha", np.uint8, (32,)),
        ("phash", np.uint64),
        ("contrast", np.float32),
        ("height", np.int32),
        ("width", np.int32),
        ("uncertain", np.float32),
        ("doubt", np.float32),
        ("shares", np.float16, (classes,)),
        ("embedding", np.float16, (width,)),
    ]
    return np.dtype(fields)


def measured(
    frames: list[Frame],
    predictor: "Predictor",
    embedder: "Embedder",
    folder: Path,
    faults: list[str],
    step: Callable[[int], None] = lambda _: None,
) -> np.ndarray:
    """Measure pictures; what an earlier call that was killed has left in the folder is not done again.

    Args:
        frames: the pictures; no more than a batch of them is in memory.
        predictor, embedder: of one model.
        folder: of this list of pictures and this model alone.
        faults: gets a sentence for each picture that cannot be read.
        step: told how many more pictures are done.

    Returns:
        One element of `kind_of` for each picture, in order; with all `sha` zero where it cannot be read.
    """
    kind = kind_of(predictor.bundle.classes.count, embedder.width)
    parts = []
    for start in range(0, len(frames), PART):
        some, path = frames[start : start + PART], folder / f"{start // PART:06d}.npy"
        part = _read(path, kind, len(some))
        if part is None:
            part = _part(some, predictor, embedder, kind, step)
            with replacing(path) as temporary, temporary.open("wb") as opened:
                np.save(opened, part)
        else:
            step(len(some))
        parts.append(part)
        faults += [f"{one.path} cannot be read" for one, row in zip(some, part, strict=True) if not row["sha"].any()]
    return np.concatenate(parts)


def _read(path: Path, kind: np.dtype[np.void], count: int) -> np.ndarray | None:
    try:
        found: np.ndarray = np.load(path)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.dtype == kind and found.shape == (count,) else None


def _part(
    frames: list[Frame],
    predictor: "Predictor",
    embedder: "Embedder",
    kind: np.dtype[np.void],
    step: Callable[[int], None],
) -> np.ndarray:
    rows = np.zeros(len(frames), kind)
    group = max(1, predictor.images)
    for start in range(0, len(frames), group):
        images = list(_decoded(frames[start : start + group], rows[start : start + group]))
        places = [start + place for place, _ in images]
        answers = predictor.probabilities(image for _, image in images)
        for place, answer in zip(places, answers, strict=True):
            looked = judge_answer(answer)
            rows[place]["uncertain"], rows[place]["doubt"] = looked.unsure.mean(), looked.doubt
            rows[place]["shares"] = looked.shares
        for place, vector in zip(places, embedder(image for _, image in images), strict=True):
            rows[place]["embedding"] = vector
        step(min(group, len(frames) - start))
    return rows


def _decoded(frames: Iterable[Frame], rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Place and pixels of those that can be read; digest, hash and size are noted."""
    for place, frame in enumerate(frames):
        try:
            with naming(frame.path):
                content = read_bytes(frame.path)
                image = decode_image(content)
        except (DataRefused, Undecodable, OSError):
            continue
        grey = image.astype(np.float32) @ GREY
        row = rows[place]
        row["sha"] = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
        row["phash"], row["contrast"] = perceptual_hash(grey), grey.std() / 255
        row["height"], row["width"] = image.shape[:2]
        yield place, image
