"""The page about labels in doubt: what a model disputes, for people to look at."""

import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

from roadseg.contracts import paths
from roadseg.contracts.classes import ClassEntry, ClassTable
from roadseg.imaging.pixels import read_image
from roadseg.labelling.disputes import DOUBT
from roadseg.labelling.suspects import Suspect, answers
from roadseg.pages.draw import colourise, mistakes
from roadseg.pages.examples import LARGE, Group
from roadseg.pages.rendering import render, write_page
from roadseg.pages.thumbnails import Thumbnail, thumbnail

if TYPE_CHECKING:
    from roadseg.predict.predictor import Predictor

PAIRS = 20  # of classes, listed


@dataclass(frozen=True)
class Shown:
    """A suspect on the page.

    Attributes:
        suspect: what is disputed.
        command: leaves the sample out.
        places: its place in each group by key.
        pictures: each by its title; empty where pictures are left out.
    """

    suspect: Suspect
    command: str
    places: dict[str, int]
    pictures: dict[str, Thumbnail]


def write_labels_page(
    out: Path,
    tree: Path,
    predictor: "Predictor",
    suspects: list[Suspect],
    *,
    looked: dict[str, int],
    listed: Path,
    top: int,
    pictures: bool,
) -> None:
    """Write one HTML file that needs no other and holds no time or host.

    Args:
        out: the file.
        tree: the checkout.
        predictor: found the suspects; predicts those that are shown anew, so that no pictures need be kept.
        suspects: the most disputed first.
        looked: number of labelled samples of each split that was looked at.
        listed: the list of all suspects.
        top: how many are shown.
        pictures: whether pictures are.
    """
    classes = predictor.bundle.classes
    chosen = suspects[:top]
    groups = _groups(chosen, classes)
    made = _pictures(chosen, tree, predictor) if pictures else repeat({}, len(chosen))
    page = render(
        "labels.html",
        card=predictor.bundle.card,
        classes=classes,
        doubt=DOUBT,
        groups=groups,
        listed=listed,
        looked=looked,
        most_pairs=PAIRS,
        pairs=_pairs(suspects, classes),
        shown=list(_shown(chosen, groups, made)),
        suspects=suspects,
    )
    write_page(out, page)


def _groups(chosen: list[Suspect], classes: ClassTable) -> list[Group]:
    """All, then by split where there are several, then by the class that the label gives."""
    splits, given = [each.row["split"] for each in chosen], [each.worst.given for each in chosen]
    parts = [(name, name, splits) for name in dict.fromkeys(splits)] if len(set(splits)) > 1 else []
    named = [(number, f"labelled {classes.names[number]}", given) for number in sorted(set(given))]
    return [Group("all", "all", list(range(len(chosen))))] + [
        Group(f"of-{key}", title, [place for place, value in enumerate(values) if value == key])
        for key, title, values in [*parts, *named]
    ]


def _pairs(suspects: list[Suspect], classes: ClassTable) -> list[tuple[ClassEntry, ClassEntry, int]]:
    """Class given, class predicted, and images whose largest area has the two; most images first."""
    counted = Counter((each.worst.given, each.worst.predicted) for each in suspects)
    return [
        (classes.classes[given], classes.classes[predicted], images)
        for (given, predicted), images in sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    ]


def _shown(chosen: list[Suspect], groups: list[Group], made: Iterator[dict[str, Thumbnail]]) -> Iterator[Shown]:
    for number, (suspect, pictures) in enumerate(zip(chosen, made, strict=True)):
        command = f"roadseg data quarantine {shlex.quote(suspect.row['sample'])} --reason label"
        places = {group.key: group.images.index(number) for group in groups if number in group.images}
        yield Shown(suspect, command, places, pictures)


def _pictures(chosen: list[Suspect], tree: Path, predictor: "Predictor") -> Iterator[dict[str, Thumbnail]]:
    rows, classes = [each.row for each in chosen], predictor.bundle.classes
    for row, answer in zip(rows, answers(rows, tree, predictor), strict=True):
        image, predicted = read_image(tree / paths.RAW / row["image"]), answer.probabilities.argmax(-1).astype("uint8")
        yield {
            "image": thumbnail(image, LARGE, lossless=False),
            "label": thumbnail(colourise(answer.label, classes), LARGE, lossless=True),
            "prediction": thumbnail(colourise(predicted, classes), LARGE, lossless=True),
            "in doubt": thumbnail(mistakes(image, answer.areas > 0), LARGE, lossless=False),
        }
