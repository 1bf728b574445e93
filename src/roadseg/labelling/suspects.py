"""The samples whose labels a model disputes, most first, and the list of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from roadseg.contracts import paths
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import replacing
from roadseg.contracts.manifest import Manifest
from roadseg.imaging.masks import read_classes
from roadseg.imaging.pixels import read_image, resize_mask
from roadseg.labelling.disputes import Dispute, describe_areas, disputed_areas

if TYPE_CHECKING:
    from roadseg.predict.predictor import Predictor

COLUMNS = ["rank", "sample", "split", "image", "mask", "share", "areas", "given", "predicted", "confidence"]
COLUMNS += ["x0", "y0", "x1", "y1"]


@dataclass(frozen=True)
class Suspect:
    """A sample whose label is disputed.

    Attributes:
        row: of the manifest.
        share: of its labelled pixels, in disputed areas, 0..1.
        areas: how many there are.
        worst: the largest.
    """

    row: dict[str, Any]
    share: float
    areas: int
    worst: Dispute


@dataclass(frozen=True)
class Answer:
    """A label with what a model makes of it, both at the image's size.

    Attributes:
        label: uint8 (H, W), classes and void.
        probabilities: float32 (H, W, K).
        areas: see `disputed_areas`.
    """

    label: np.ndarray
    probabilities: np.ndarray
    areas: np.ndarray


def labelled(manifest: Manifest, splits: list[str]) -> list[dict[str, Any]]:
    """The rows of these splits that have a mask.

    Raises:
        UsageError: there is none.
    """
    rows = [row for row in manifest.records() if row["split"] in splits and row["mask"]]
    if not rows:
        raise UsageError(f"{paths.MANIFEST} holds no labelled sample of {' or '.join(splits)}")
    return rows


def answers(rows: list[dict[str, Any]], tree: Path, predictor: "Predictor") -> Iterator[Answer]:
    """Predict samples one by one; no more than a batch of images is in memory.

    Args:
        rows: of the manifest, each with a mask.
        tree: the checkout.
        predictor: of a model of the data's classes.

    Raises:
        DataRefused: a file is no picture any more; names it.
    """
    stream = predictor.probabilities(read_image(tree / paths.RAW / row["image"]) for row in rows)
    for row, probabilities in zip(rows, stream, strict=True):
        label, _ = read_classes(tree / paths.RAW / row["mask"], predictor.bundle.classes, row.get("coding"))
        label = resize_mask(label, *probabilities.shape[:2])
        yield Answer(label, probabilities, disputed_areas(label, probabilities))


def suspects(rows: list[dict[str, Any]], tree: Path, predictor: "Predictor") -> Iterator[Suspect | None]:
    """Judge samples one by one, None where nothing is disputed; arguments and errors as of `answers`."""
    for row, answer in zip(rows, answers(rows, tree, predictor), strict=True):
        found = describe_areas(answer.areas, answer.label, answer.probabilities)
        yield Suspect(row, sum(each.share for each in found), len(found), found[0]) if found else None


def most_disputed_first(found: list[Suspect]) -> list[Suspect]:
    """In the order in which people should look at them."""
    return sorted(found, key=lambda suspect: (-suspect.share, suspect.row["sample"]))


def write_list(path: Path, found: list[Suspect], classes: ClassTable) -> None:
    """Write CSV for annotators: a line per sample in the order given, files relative to the checkout."""
    lines = [
        (
            rank,
            *(each.row[key] for key in ("sample", "split")),
            *((paths.RAW / each.row[key]).as_posix() for key in ("image", "mask")),
            round(each.share, 5),
            each.areas,
            *(classes.names[number] for number in (each.worst.given, each.worst.predicted)),
            round(each.worst.confidence, 3),
            *each.worst.box,
        )
        for rank, each in enumerate(found, 1)
    ]
    with replacing(path) as temporary:
        pd.DataFrame(lines, columns=COLUMNS).to_csv(temporary, index=False, lineterminator="\n")
