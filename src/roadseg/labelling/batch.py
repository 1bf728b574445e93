"""A batch of pictures to label: a folder of home's labelling/, see docs/formats.md; it needs no other file."""

import csv
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from roadseg.contracts.classes import VOID, ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import home, read_json, replacing, write_json
from roadseg.imaging.masks import decode_mask
from roadseg.imaging.pixels import naming, read_bytes

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
ABOUT, PICKS, IMPORTED = "batch.json", "picks.csv", "imported.json"
PICTURES, MASKS, DOUBTS, PAGE = "pictures", "masks", "doubts", "picks.html"
REMEDY = "roadseg label pick"
UNLABELLED = "not labelled"  # reason in quarantine of pictures whose drive has labels, and they none


@dataclass(frozen=True)
class Pick:
    """One picture of a batch.

    Attributes:
        rank: from 1, in the order in which they were picked.
        name: unique in every batch, of plain letters; every export calls it so.
        drive: as data/raw has it or will have it; empty where it has none.
        id: of the sample in data/raw.
        image: its file in data/raw, where it is there already; else empty.
        picture: its copy, a file name in pictures/.
        image_sha: of its bytes.
        height, width: pixels, as viewers show it.
        value, uncertain, rare, distance, scene: see `choose.Choice`.
        rarest: the class that makes it rare.
        frame: its name in the source.
    """

    rank: int
    name: str
    drive: str
    id: str
    image: str
    picture: str
    image_sha: str
    height: int
    width: int
    value: float
    uncertain: float
    rare: float
    rarest: str
    distance: float
    scene: int
    frame: str = ""

    @property
    def unit(self) -> str:
        """What data/splits.csv calls it."""
        return self.drive or self.id


@dataclass(frozen=True)
class Batch:
    """A batch that was picked.

    Attributes:
        folder: where it is.
        source: what it was picked from: `test`, `left-out`, or a folder.
        split: that its drives get: train or val.
        by: how it was picked, see `choose.By`.
        model: what the model is called that picked and pre-annotated.
        weights: digest of its weights.
        classes: its class table, which the masks have.
        colors: by class name, what exports paint; no two alike, none black.
        created: when, ISO 8601 in UTC.
        looked: pictures that were looked at.
        picks: in their order.
    """

    folder: Path
    source: str
    split: Literal["train", "val"]
    by: str
    model: str
    weights: str
    classes: ClassTable
    colors: dict[str, tuple[int, int, int]]
    created: str
    looked: int
    picks: list[Pick] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What people call it."""
        return self.folder.name

    @property
    def page(self) -> Path:
        """For people: each picture, and why it was picked."""
        return self.folder / PAGE

    def picture(self, pick: Pick) -> Path:
        """The copy of a picture."""
        return self.folder / PICTURES / pick.picture

    def predicted(self, pick: Pick) -> np.ndarray:
        """The model's answer, uint8 (H, W), which exports give as pre-annotation."""
        path = self.folder / MASKS / f"{pick.name}.png"
        with naming(path):
            return decode_mask(read_bytes(path))

    def doubt(self, pick: Pick) -> Path:
        """Where the model was unsure: a picture, 255 there."""
        return self.folder / DOUBTS / f"{pick.name}.png"

    @property
    def imported(self) -> dict[str, Any] | None:
        """What an import left, see docs/formats.md; None before one."""
        path = self.folder / IMPORTED
        return read_json(path, "label-import", "roadseg label import") if path.exists() else None


def batches_folder() -> Path:
    """Where batches are."""
    return home() / "labelling"


def all_batches() -> Iterator[Batch]:
    """Every batch that was picked to its end, by name; folders that are none are passed over."""
    for folder in sorted(batches_folder().glob("*/")):
        if (folder / ABOUT).exists():
            yield open_batch(folder.name)


def open_batch(name: str) -> Batch:
    """Open a batch.

    Raises:
        UsageError: there is none of that name, or it is damaged; lists those there are.
    """
    folder = batches_folder() / checked_name(name)
    if not (folder / ABOUT).exists():
        there = [path.parent.name for path in sorted(batches_folder().glob(f"*/{ABOUT}"))]
        raise UsageError(f"no batch {name!r} in {batches_folder()}: there are {', '.join(there) or 'none'}")
    about = read_json(folder / ABOUT, "label-batch", REMEDY)
    about["classes"] = ClassTable.model_validate(about["classes"])
    # JSON has sorted them; painting goes by the order of the ids
    about["colors"] = {name: tuple(about["colors"][name]) for name in about["classes"].names}
    known = {each.name: about[each.name] for each in fields(Batch) if each.name in about}
    return Batch(folder, picks=_read_picks(folder / PICKS), **known)


def write_batch(batch: Batch) -> None:
    """Write list and description, the description last: with it the batch is whole."""
    with replacing(batch.folder / PICKS) as temporary, temporary.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, [each.name for each in fields(Pick)], lineterminator="\n")
        writer.writeheader()
        for pick in batch.picks:
            writer.writerow(asdict(pick))
    about = {each.name: getattr(batch, each.name) for each in fields(Batch) if each.name not in ("folder", "picks")}
    write_json(batch.folder / ABOUT, "label-batch", about | {"classes": batch.classes.content})


def checked_name(name: str) -> str:
    """The name itself.

    Raises:
        UsageError: it is none that a folder of ours has.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"batch {name!r}: give letters, digits, dots, _ and - (80 at most)")
    return name


def distinct_colors(classes: ClassTable) -> dict[str, tuple[int, int, int]]:
    """A colour for each class by name: the table's where all differ and none is black, else others.

    Black is what annotation tools paint where nothing is.
    """
    own = [entry.color for entry in classes.classes]
    if len(set(own)) < len(own) or (0, 0, 0) in own:
        own = [_voc_color(number + 1) for number in range(len(own))]
    return dict(zip(classes.names, own, strict=True))


def painted(mask: np.ndarray, batch: Batch) -> np.ndarray:
    """Ids as the colours of exports, uint8 (H, W) to (H, W, 3); void is black."""
    palette = np.zeros((256, 3), np.uint8)
    palette[: batch.classes.count] = list(batch.colors.values())
    return np.asarray(palette[np.where(mask < batch.classes.count, mask, VOID)])


def _voc_color(number: int) -> tuple[int, int, int]:
    """Source: the colour map of PASCAL VOC's development kit; bits of the number, three by three, highest first."""
    color = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            color[channel] |= ((number >> channel) & 1) << (7 - place)
        number >>= 3
    return color[0], color[1], color[2]


def _read_picks(path: Path) -> list[Pick]:
    kinds = {each.name: each.type for each in fields(Pick)}
    try:
        with path.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.DictReader(opened, strict=True))
        return [Pick(**{name: kinds[name](row[name]) for name in kinds}) for row in rows]  # type: ignore[operator]
    except (OSError, csv.Error, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is damaged ({error}): pick the batch again, under another name") from None
