"""The failing samples of an expectation: a few as pictures, more by name, the rest as a number."""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from roadseg.pages.judgement import Expectation, Judgement
from roadseg.pages.thumbnails import Thumbnail, image_thumbnail, mask_thumbnail

CARDS = 12  # shown of one expectation
ALL_CARDS = 120  # shown on a page; with thumbnails of some 10 KB it stays far below 10 MB
NAMED = 400  # of one expectation, named in a list


@dataclass(frozen=True)
class Card:
    """A failing sample; the thumbnails are None where pictures are left out."""

    sample: str
    reason: str
    image: Thumbnail | None
    mask: Thumbnail | None


@dataclass(frozen=True)
class Gallery:
    """What is shown of one failing expectation; `unnamed` counts the samples that are in no list."""

    expectation: Expectation
    cards: list[Card]
    named: list[tuple[str, str]]
    unnamed: int


def galleries(judgement: Judgement, root: Path, pictures: bool) -> list[Gallery]:
    """One gallery per failing expectation.

    Args:
        judgement: what failed.
        root: the folder of the images and masks.
        pictures: whether to make thumbnails.
    """
    failing = judgement.failing
    shown = min(CARDS, max(1, ALL_CARDS // max(1, len(failing))))
    firsts = [_numbered(expectation, shown + NAMED) for expectation in failing]
    rows = _rows(judgement, {sample for first in firsts for sample, _, _ in first[:shown]})

    @cache  # a sample that several expectations flag is decoded once
    def thumbnails(sample: str, number: int) -> tuple[Thumbnail | None, Thumbnail | None]:
        found = rows.get(sample, [])
        if not pictures or number >= len(found):
            return None, None
        row = found[number]
        mask = mask_thumbnail(root, row["mask"], judgement.scan.classes, row.get("coding"))
        return image_thumbnail(root, row["image"]), mask

    return [
        Gallery(
            expectation,
            [Card(sample, reason, *thumbnails(sample, number)) for sample, reason, number in first[:shown]],
            [(sample, reason) for sample, reason, _ in first[shown:]],
            max(0, len(expectation.flagged) - len(first)),
        )
        for expectation, first in zip(failing, firsts, strict=True)
    ]


def _numbered(expectation: Expectation, limit: int) -> list[tuple[str, str, int]]:
    """Sample, reason, and how often the sample was named before: two files may claim to be one sample."""
    before: Counter[str] = Counter()
    numbered = []
    for sample, reason in expectation.flagged.head(limit).itertuples(index=False):
        numbered.append((sample, reason, before[sample]))
        before[sample] += 1
    return numbered


def _rows(judgement: Judgement, wanted: set[str]) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in judgement.scan.rows.select(["sample", "image", "mask"]).to_pylist():
        if row["sample"] in wanted:
            rows.setdefault(row["sample"], []).append(row)
    return rows
