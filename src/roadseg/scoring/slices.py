"""Scores of parts of a split, from what is stored of every image: nothing is predicted again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from roadseg.contracts.confusion import iou
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import Evaluation
from roadseg.evaluate.measures import mean

# name of a slice, which images are in it, and the number of the class that it is about
Part = tuple[str, np.ndarray, int | None]


@dataclass(frozen=True)
class Slice:
    """A part of the images and how the model does there.

    Attributes:
        by: what the images were cut by, a key of `SLICES`.
        name: what the part is called.
        images, drives: its support.
        miou: mean IoU of its images together, 0..1; NaN where nothing is counted.
        below: how far that is below the mean over the same classes of all images together: a part without the hard
            classes would look good otherwise.
        iou: IoU of the class that the part is about, 0..1, else None.
    """

    by: str
    name: str
    images: int
    drives: int
    miou: float
    below: float
    iou: float | None


def slices(evaluation: Evaluation, by: str, quantiles: int) -> list[Slice]:
    """Cut the images, worst part first.

    Args:
        evaluation: what evaluate stored.
        by: a key of `SLICES`.
        quantiles: parts of equally many images that brightness, sharpness and size are cut in.

    Raises:
        UsageError: there is no such slice.
    """
    if by not in SLICES:
        raise UsageError(f"no slice {by!r}: there are {', '.join(SLICES)}")
    everything, drives = iou(evaluation.counts.total().confusion), np.array(evaluation.drives)
    found = []
    for name, chosen, number in SLICES[by](evaluation, quantiles):
        values = iou(evaluation.counts[chosen].total().confusion)
        score = float(mean(values))
        expected = float(mean(np.where(np.isfinite(values), everything, np.nan)))
        about = None if number is None else float(values[number])
        found.append(Slice(by, name, int(chosen.sum()), len(set(drives[chosen])), score, expected - score, about))
    return sorted(found, key=_worst_first)


def worst_slices(evaluation: Evaluation, count: int, *, least: int, quantiles: int) -> list[Slice]:
    """The slices of every kind that lie furthest below all images, of at least `least` images, worst first."""
    found = [part for by in SLICES for part in slices(evaluation, by, quantiles) if part.images >= least]
    return sorted(found, key=_worst_first)[:count]


def _worst_first(part: Slice) -> tuple[float, str, str]:
    return -np.nan_to_num(part.below, nan=-np.inf), part.by, part.name


def _by_drive(evaluation: Evaluation, _: int) -> Iterator[Part]:
    drives = np.array(evaluation.drives)
    for name in np.unique(drives):
        yield str(name), drives == name, None


def _by_column(column: str) -> Callable[[Evaluation, int], Iterator[Part]]:
    def cut(evaluation: Evaluation, quantiles: int) -> Iterator[Part]:
        values = evaluation.images[column].to_numpy(zero_copy_only=False).astype(np.float64)
        for low, high, chosen in _quantiles(values, np.isfinite(values), quantiles):
            yield f"{low:.4g} to {high:.4g}", chosen, None

    return cut


def _by_class(evaluation: Evaluation, _: int) -> Iterator[Part]:
    shares = _shares(evaluation)
    for number, name in enumerate(evaluation.counts.classes.names):
        if (present := shares[:, number] > 0).any():
            yield name, present, number


def _by_size(evaluation: Evaluation, quantiles: int) -> Iterator[Part]:
    shares = _shares(evaluation)
    for number, name in enumerate(evaluation.counts.classes.names):
        for low, high, chosen in _quantiles(100 * shares[:, number], shares[:, number] > 0, quantiles):
            yield f"{name} {low:.2g} to {high:.2g} % of the image", chosen, number


def _shares(evaluation: Evaluation) -> np.ndarray:
    """The share of each class among the counted true pixels of each image, (N, K)."""
    pixels = evaluation.counts.confusion.sum(-1)
    return np.asarray(pixels / np.maximum(pixels.sum(-1, keepdims=True), 1))


def _quantiles(values: np.ndarray, among: np.ndarray, parts: int) -> Iterator[tuple[float, float, np.ndarray]]:
    """Lowest and highest value and the images of each part; equal values stay together, so a part may be missing."""
    if not among.any():
        return
    inner = np.quantile(values[among], np.arange(1, parts) / parts)
    part = np.searchsorted(inner, values, side="left")
    for number in range(parts):
        chosen = among & (part == number)
        if chosen.any():
            yield float(values[chosen].min()), float(values[chosen].max()), chosen


SLICES: dict[str, Callable[[Evaluation, int], Iterator[Part]]] = {
    "drive": _by_drive,
    "brightness": _by_column("brightness"),
    "sharpness": _by_column("sharpness"),
    "class": _by_class,
    "size": _by_size,
}
