"""The images that a candidate changed most: what is shown of each, and who predicts it anew."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.classes import VOID, ClassTable
from roadseg.contracts.evaluation import Evaluation
from roadseg.gate.settings import compared_settings
from roadseg.imaging.masks import read_classes
from roadseg.imaging.pixels import read_image
from roadseg.pages.draw import colourise, mistakes
from roadseg.pages.examples import LARGE
from roadseg.pages.thumbnails import Thumbnail, thumbnail

RIGHT = np.array((52, 132, 245))  # blue: with the red of mistakes it is told apart by every eye


@dataclass(frozen=True)
class Model:
    """What a version answered, and the folder of its bundle; without one nothing is predicted."""

    evaluation: Evaluation
    bundle: Path | None = None


def predicted_by_both(
    rows: list[dict[str, Any]], raw: Path, models: dict[str, Model]
) -> Iterator[dict[str, Thumbnail]]:
    """Image, truth, both predictions and what changed between them, by title.

    Args:
        rows: of the manifest.
        raw: the folder of images and masks.
        models: champion and candidate by the title of their prediction, both with bundles; each predicts as it was
            evaluated.
    """
    from roadseg.predict.predictor import Predictor  # late: Keras loads in seconds

    images = [raw / row["image"] for row in rows]
    answers = [
        Predictor(Bundle.open(model.bundle), **compared_settings(model.evaluation))(map(read_image, images))
        for model in models.values()
        if model.bundle
    ]
    classes = next(iter(models.values())).evaluation.counts.classes
    for row, path, *masks in zip(rows, images, *answers, strict=True):
        truth = read_classes(raw / row["mask"], classes, row.get("coding"))[0]
        yield _shown(read_image(path), truth, dict(zip(models, masks, strict=True)), classes)


def changed(image: np.ndarray, truth: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The image in dim grey, uint8 (H, W, 3): red where a right pixel became wrong, blue where a wrong one right."""
    counted = truth != VOID
    lost, gained = (counted & (one == truth) & (other != truth) for one, other in ((before, after), (after, before)))
    return np.where(gained[..., None], RIGHT, mistakes(image, lost)).astype(np.uint8)


def _shown(
    image: np.ndarray, truth: np.ndarray, masks: dict[str, np.ndarray], classes: ClassTable
) -> dict[str, Thumbnail]:
    shown = {"image": thumbnail(image, LARGE, lossless=False)}
    for title, mask in {"truth": truth, **masks}.items():
        shown[title] = thumbnail(colourise(mask, classes), LARGE, lossless=True)
    before, after = masks.values()
    return shown | {"changed": thumbnail(changed(image, truth, before, after), LARGE, lossless=False)}
