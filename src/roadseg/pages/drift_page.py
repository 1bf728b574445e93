"""The page about drift: how new pictures differ from what the champion knows, as distributions and examples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from roadseg.contracts.classes import ClassTable
from roadseg.drift.figures import ANSWER, PICTURE
from roadseg.drift.finding import Finding, Seen
from roadseg.drift.two_sample import Shift, weights
from roadseg.imaging.pixels import read_image
from roadseg.pages.draw import overlay
from roadseg.pages.examples import LARGE, Group
from roadseg.pages.rendering import render, write_page
from roadseg.pages.thumbnails import Thumbnail, thumbnail

if TYPE_CHECKING:
    from roadseg.predict.predictor import Predictor

BINS = 30
EACH = 6  # examples of a figure
SHOWN = 6  # figures with examples
SPLITS = {"picture": "train", "answer": "val"}  # what each family is compared with


@dataclass(frozen=True)
class Row:
    """A figure on the page: its shift, what it is, whether it drifts, and 2 x `BINS` heights, 0..1."""

    shift: Shift
    meaning: str
    drifts: bool
    before: list[float]
    after: list[float]
    low: float
    high: float


@dataclass(frozen=True)
class Example:
    """A new picture: its figures that drift in words, its place in each group by key, and pictures by title."""

    name: str
    figures: str
    places: dict[str, int]
    pictures: Mapping[str, Thumbnail]


def write_drift_page(out: Path, seen: Seen, folder: Path, *, pictures: bool) -> None:
    """Write one HTML file that needs no other and holds no time or host.

    Args:
        out: the file.
        seen: the answer and what it was found from; what is shown is answered anew, so that no masks need be kept.
        folder: holds the new pictures by name.
        pictures: whether pictures are shown.
    """
    finding, reference, new, predictor = seen.finding, seen.reference, seen.new, seen.predictor
    drifted = finding.drifted[:SHOWN]
    chosen, groups = _chosen(new, drifted)
    drawn = _pictures([folder / name for name in chosen], predictor) if pictures else repeat({})
    page = render(
        "drift.html",
        classes=predictor.bundle.classes,
        examples=list(_examples(chosen, new, drifted, groups, drawn)),
        finding=finding,
        groups=groups,
        rows={
            family.name: _rows(family.shifts, reference.split(SPLITS[family.name]), new, finding)
            for family in finding.families
        },
        splits=SPLITS,
        version=seen.version,
        weights=reference.weights,
    )
    write_page(out, page)


def _rows(shifts: list[Shift], reference: pd.DataFrame, new: pd.DataFrame, finding: Finding) -> list[Row]:
    rows = []
    for shift in sorted(shifts, key=lambda shift: (shift.probability, -shift.standard)):
        before, after, low, high = _histograms(reference, new, shift.figure)
        meaning = PICTURE.get(shift.figure) or ANSWER.get(shift.figure) or "among all pixels, as the model says, 0 to 1"
        rows.append(Row(shift, meaning, finding.counts(shift), before, after, low, high))
    return rows


def _histograms(
    reference: pd.DataFrame, new: pd.DataFrame, figure: str
) -> tuple[list[float], list[float], float, float]:
    """Heights of both over one range, every drive counting alike; the outermost half percents are in the end bins."""
    both = [reference, new]
    ends = [np.quantile(frame[figure], (0.005, 0.995)) for frame in both]
    low, high = min(each[0] for each in ends), max(each[1] for each in ends)
    bounds = (low, high) if high > low else (low - 0.5, low + 0.5)
    found = [np.histogram(frame[figure].clip(*bounds), BINS, bounds, weights=weights(frame))[0] for frame in both]
    top = max(each.max() for each in found)
    before, after = ((each / top).tolist() for each in found)
    return before, after, float(low), float(high)


def _chosen(new: pd.DataFrame, drifted: list[Shift]) -> tuple[list[str], list[Group]]:
    """Names of the pictures to show, and the groups that they are in: the farthest out for each figure that drifts."""
    if not drifted:
        spread = [number * len(new) // EACH for number in range(min(EACH, len(new)))]
        names = list(dict.fromkeys(new["name"].iloc[spread]))
        return names, [Group("spread", "evenly spread", list(range(len(names))))]
    farthest = {}
    for shift in drifted:
        out = (new[shift.figure] - shift.before) * (1 if shift.after >= shift.before else -1)
        farthest[shift.figure] = new["name"].loc[out.sort_values(ascending=False, kind="stable").index[:EACH]].tolist()
    names = list(dict.fromkeys(name for found in farthest.values() for name in found))
    groups = [
        Group(f"figure-{number}", figure, [names.index(name) for name in found])
        for number, (figure, found) in enumerate(farthest.items())
    ]
    return names, groups


def _examples(
    chosen: list[str], new: pd.DataFrame, drifted: list[Shift], groups: list[Group], drawn: Iterator[Any]
) -> Iterator[Example]:
    rows = new.set_index("name").to_dict("index")
    named = [shift.figure for shift in drifted] or ["brightness", "sharpness", "confidence"]
    for number, (name, pictures) in enumerate(zip(chosen, drawn, strict=False)):
        figures = ", ".join(f"{figure} {rows[name][figure]:.3g}" for figure in named)
        places = {group.key: group.images.index(number) for group in groups if number in group.images}
        yield Example(name, figures, places, pictures)


def _pictures(files: list[Path], predictor: "Predictor") -> Iterator[dict[str, Thumbnail]]:
    classes: ClassTable = predictor.bundle.classes
    images = [read_image(path) for path in files]
    for image, mask in zip(images, predictor(images), strict=True):
        yield {
            "image": thumbnail(image, LARGE, lossless=False),
            "what the champion sees": thumbnail(overlay(image, mask, classes), LARGE, lossless=False),
        }
