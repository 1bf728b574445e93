"""Which images of a split are shown, and what is shown of each."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.classes import VOID, ClassTable
from roadseg.contracts.confusion import iou
from roadseg.contracts.evaluation import Evaluation
from roadseg.imaging.masks import read_classes, read_label
from roadseg.imaging.pixels import read_image, resize_mask
from roadseg.pages.draw import colourise, mistakes
from roadseg.pages.thumbnails import Thumbnail, thumbnail
from roadseg.scoring.folders import read_guess

SHOWN, SHOWN_OF_A_CLASS = 12, 6
MIN_SHARE = 0.005  # of an image: a class with fewer pixels is not what the image is looked at for
LARGE = (384, 288)  # width and height that a picture fits into


Pictures = Callable[[list[int]], Iterator[dict[str, Thumbnail]]]


@dataclass(frozen=True)
class Group:
    """Images that belong together, in order; `images` are positions in the evaluation."""

    key: str
    title: str
    images: list[int]


@dataclass(frozen=True)
class Example:
    """An image with what the model made of it.

    Attributes:
        miou: of this image alone, 0..1, or None.
        before: the same of the model compared with.
        places: its place in each group by key.
        pictures: by title.
    """

    sample: str
    miou: float | None
    before: float | None
    places: dict[str, int]
    pictures: dict[str, Thumbnail]


def choose(evaluation: Evaluation, before: Evaluation | None) -> list[Group]:
    """The groups of a page: worst, best, random, the worst of each class, and where it lost and gained most."""
    scores = per_image(evaluation)
    known = np.flatnonzero(np.isfinite(scores))
    worst = known[np.argsort(scores[known], kind="stable")]
    groups = [
        Group("worst", "worst", worst[:SHOWN].tolist()),
        Group("best", "best", worst[::-1][:SHOWN].tolist()),
        Group("random", "random", sorted(np.random.default_rng(0).permutation(len(scores))[:SHOWN].tolist())),
    ]
    if before is not None:
        moved = np.nan_to_num(scores - per_image(before))
        order = np.argsort(moved, kind="stable")
        lost, gained = order[moved[order] < 0], order[::-1][moved[order[::-1]] > 0]
        groups = [
            Group("lost", "lost most", lost[:SHOWN].tolist()),
            Group("gained", "gained most", gained[:SHOWN].tolist()),
            *groups,
        ]
    return [group for group in [*groups, *_by_class(evaluation)] if group.images]


def per_image(evaluation: Evaluation) -> np.ndarray:
    """Mean IoU of each image alone, float64 (N,); NaN where all its pixels are void."""
    return np.asarray(evaluation.images["miou"].to_numpy(zero_copy_only=False), np.float64)


def _by_class(evaluation: Evaluation) -> Iterator[Group]:
    pixels = evaluation.counts.confusion.sum(-1)
    shares = pixels / np.maximum(pixels.sum(-1, keepdims=True), 1)
    scores = iou(evaluation.counts.confusion)
    for number, name in enumerate(evaluation.counts.classes.names):
        there = np.flatnonzero(shares[:, number] >= MIN_SHARE)
        order = there[np.argsort(scores[there, number], kind="stable")]
        yield Group(f"class-{number}", f"worst {name}", order[:SHOWN_OF_A_CLASS].tolist())


def examples(
    evaluation: Evaluation, groups: list[Group], before: Evaluation | None, pictures: Pictures
) -> Iterator[Example]:
    """Every image of the groups once.

    Args:
        evaluation: of the model.
        groups: see `choose`.
        before: of the model compared with.
        pictures: from positions in the evaluation to what is shown of each.
    """
    chosen = sorted({image for group in groups for image in group.images})
    names = evaluation.images["sample"].to_pylist()
    scores, earlier = per_image(evaluation), None if before is None else per_image(before)
    for number, shown in zip(chosen, pictures(chosen), strict=True):
        yield Example(
            names[number],
            _known(scores[number]),
            None if earlier is None else _known(earlier[number]),
            {group.key: group.images.index(number) for group in groups if number in group.images},
            shown,
        )


def predicted(
    rows: list[dict[str, Any]], raw: Path, models: dict[str, Bundle], settings: Mapping[str, Any]
) -> Pictures:
    """Show image, truth, predictions made anew, and the mistakes of the first model.

    Args:
        rows: manifest rows of the split, in the order of the evaluation.
        raw: the folder of images and masks.
        models: bundles by the title of their prediction.
        settings: of the predictions, see `compared_settings`.
    """

    def pictures(chosen: list[int]) -> Iterator[dict[str, Thumbnail]]:
        from roadseg.predict.predictor import Predictor  # late: Keras loads in seconds

        images = [raw / rows[number]["image"] for number in chosen]
        answers = [Predictor(bundle, **settings)(map(read_image, images)) for bundle in models.values()]
        classes = next(iter(models.values())).classes
        for number, path, *masks in zip(chosen, images, *answers, strict=True):
            row = rows[number]
            truth = read_classes(raw / row["mask"], classes, row.get("coding"))[0]
            yield _pictures(read_image(path), truth, dict(zip(models, masks, strict=True)), classes)

    return pictures


def read(pairs: list[tuple[Path, Path]], classes: ClassTable) -> Pictures:
    """Show truth, prediction and mistakes from files: prediction and label of each image of the evaluation."""

    def pictures(chosen: list[int]) -> Iterator[dict[str, Thumbnail]]:
        for number in chosen:
            guess, label = pairs[number]
            mask, truth = read_guess(guess, classes), read_label(label, classes)[0]
            yield _pictures(None, truth, {"prediction": resize_mask(mask, *truth.shape)}, classes)

    return pictures


def _pictures(
    image: np.ndarray | None, truth: np.ndarray, masks: dict[str, np.ndarray], classes: ClassTable
) -> dict[str, Thumbnail]:
    shown = {} if image is None else {"image": thumbnail(image, LARGE, lossless=False)}
    painted = colourise(truth, classes)
    shown["truth"] = thumbnail(painted, LARGE, lossless=True)
    for title, mask in masks.items():
        shown[title] = thumbnail(colourise(mask, classes), LARGE, lossless=True)
    wrong = (next(iter(masks.values())) != truth) & (truth != VOID)
    shown["mistakes"] = thumbnail(mistakes(painted if image is None else image, wrong), LARGE, lossless=False)
    return shown


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
