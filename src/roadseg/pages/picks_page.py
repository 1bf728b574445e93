"""The page of a batch: each picture that was picked, and why."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from roadseg.imaging.masks import decode_mask
from roadseg.imaging.pixels import read_bytes, read_image
from roadseg.labelling.batch import PAGE, PICKS, Batch, Pick
from roadseg.labelling.measure import UNSURE
from roadseg.pages.draw import mistakes, overlay
from roadseg.pages.examples import LARGE, Group
from roadseg.pages.rendering import render, write_page
from roadseg.pages.thumbnails import Thumbnail, thumbnail

MOST = 500  # pictures on the page, which is in memory whole: about 0.1 MB each


@dataclass(frozen=True)
class PickShown:
    """A pick on the page: what it is, its place in each group by key, and pictures by title."""

    pick: Pick
    places: dict[str, int]
    pictures: dict[str, Thumbnail]


def write_picks_page(batch: Batch, *, pictures: bool = True) -> Path:
    """Write picks.html into the batch's folder, one file that needs no other; it shows the first `MOST` picks.

    Args:
        batch: what was picked.
        pictures: whether pictures are shown.
    """
    picks = batch.picks[:MOST]
    groups = _groups(picks)
    page = render(
        "picks.html",
        batch=batch,
        classes=batch.classes,
        drives=len({pick.drive for pick in batch.picks}),
        groups=groups,
        listed=PICKS,
        shown=list(_shown(batch, picks, groups, pictures)),
        unsure=UNSURE,
    )
    write_page(batch.folder / PAGE, page)
    return batch.folder / PAGE


def _groups(picks: list[Pick]) -> list[Group]:
    """All in their order, by each reason alone, and by the class that makes a picture rare."""
    everything = list(range(len(picks)))
    orders = {"uncertain": "most in doubt", "rare": "rarest classes", "distance": "most unlike others"}
    by_reason = [
        Group(key, title, sorted(everything, key=lambda place: -getattr(picks[place], key)))
        for key, title in orders.items()
    ]
    named = sorted({pick.rarest for pick in picks})
    by_class = [Group(f"of-{number}", name, _of(picks, name)) for number, name in enumerate(named)]
    return [Group("all", "all", everything), *by_reason, *by_class]


def _of(picks: list[Pick], name: str) -> list[int]:
    return [place for place, pick in enumerate(picks) if pick.rarest == name]


def _shown(batch: Batch, picks: list[Pick], groups: list[Group], pictures: bool) -> Iterator[PickShown]:
    for number, pick in enumerate(picks):
        places = {group.key: group.images.index(number) for group in groups if number in group.images}
        yield PickShown(pick, places, _pictures(batch, pick) if pictures else {})


def _pictures(batch: Batch, pick: Pick) -> dict[str, Thumbnail]:
    image, answer = read_image(batch.picture(pick)), batch.predicted(pick)
    unsure = decode_mask(read_bytes(batch.doubt(pick)))
    return {
        "image": thumbnail(image, LARGE, lossless=False),
        "prediction": thumbnail(overlay(image, answer, batch.classes), LARGE, lossless=False),
        "unsure": thumbnail(mistakes(image, np.asarray(unsure > 0)), LARGE, lossless=False),
    }
