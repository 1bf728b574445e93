"""Where an image and its mask belong in data/raw, and how masks are written: as the labelled ones there are."""

import io
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from roadseg.contracts.classes import VOID, ClassTable
from roadseg.contracts.errors import DataRefused
from roadseg.imaging.codings import CODINGS, coding_named
from roadseg.imaging.masks import POLYGONS
from roadseg.imaging.pixels import Undecodable

GTFINE = re.compile(r"_gtFine_(polygons|label[^_.]*)$", re.IGNORECASE)


@dataclass(frozen=True)
class Placing:
    """The way in which a data set lays out its labelled samples.

    Attributes:
        image, mask: files of one of them, below data/raw.
        drive, id: of it; the drive is empty where it has none.
        classes: the table that masks are read by.
        coding: IDD's, by which new masks are written; None: the table's own values or colours.
    """

    image: PurePosixPath
    mask: PurePosixPath
    drive: str
    id: str
    classes: ClassTable
    coding: str | None = None

    @classmethod
    def like(cls, rows: list[dict[str, Any]], split: str, classes: ClassTable) -> "Placing":
        """As the first labelled sample of a split is, or of any where that has none.

        Raises:
            DataRefused: no sample is labelled, or no label picture can say what all classes are.
        """
        labelled = [row for row in rows if row["image"] and row["mask"]]
        row = next((row for row in labelled if row["split"] == split), labelled[0] if labelled else None)
        if row is None:
            raise DataRefused("data/raw holds no image with a mask, so nothing says where masks belong")
        parts = [part for part in (row["split"], row["drive"]) if part]
        name = row["sample"].removeprefix("/".join(parts) + "/")
        polygons = PurePosixPath(row["mask"]).suffix.lower() == POLYGONS
        coding = (
            _coding(classes) if row["coding"] or (polygons and GTFINE.search(PurePosixPath(row["mask"]).stem)) else None
        )
        if polygons and not coding:
            raise DataRefused(f"{row['mask']}: labels of data/raw are polygons, and a batch comes back as pictures")
        return cls(PurePosixPath(row["image"]), PurePosixPath(row["mask"]), row["drive"] or "", name, classes, coding)

    def new_image(self, drive: str, name: str, ending: str) -> str:
        """Where a new picture goes, with a drive and an id that are not there yet."""
        parts, wanted = list(self.image.parent.parts), self.drive.split("/") if self.drive else []
        stem = self._stem(self.image.stem, name)
        place = _place_of(wanted, parts)
        if place is not None:
            parts[place : place + len(wanted)] = [drive]
        elif self.drive and self.drive in stem:
            stem = stem.replace(self.drive, drive, 1)
        elif self.drive:
            raise DataRefused(
                f"{self.image}: nothing in it is the drive {self.drive}, so new drives have no place here"
            )
        return PurePosixPath(*parts, stem + ending).as_posix()

    def mask_of(self, image: str, name: str) -> str:
        """Where the mask of an image goes that lies in data/raw, or shall.

        Raises:
            DataRefused: its folders are other than those of labelled images.
        """
        path = PurePosixPath(image)
        if len(path.parts) != len(self.image.parts) or len(self.image.parts) != len(self.mask.parts):
            raise DataRefused(f"{image}: lies deeper or less deep than {self.image}, whose mask is {self.mask}")
        pairs = zip(path.parent.parts, self.image.parent.parts, self.mask.parent.parts, strict=True)
        folders = [part if ours == theirs else _changed(part, ours, theirs) for part, ours, theirs in pairs]
        before, _, after = self.mask.stem.rpartition(_inner(self.mask.stem, self.id))
        if self.coding:
            after = GTFINE.sub(f"_gtFine_label{self.coding.removesuffix('id')}Ids", after)
        before = before.replace(self.drive, "") if self.drive and self.drive in before else before
        return PurePosixPath(*folders, f"{before}{name}{after}.png").as_posix()

    def _stem(self, stem: str, name: str) -> str:
        before, _, after = stem.rpartition(_inner(stem, self.id))
        return f"{before}{name}{after}"

    def encoded(self, mask: np.ndarray) -> bytes:
        """A mask as data/raw has them, PNG, from uint8 (H, W) ids of the table and void.

        Raises:
            DataRefused: the table has no colour for void, and the mask has some.
        """
        content = io.BytesIO()
        self._picture(mask).save(content, "PNG")
        return content.getvalue()

    def _picture(self, mask: np.ndarray) -> Image.Image:
        classes = self.classes
        if classes.source == "color":
            palette = np.zeros((256, 3), np.uint8)
            palette[: classes.count] = [entry.color for entry in classes.classes]
            if (mask >= classes.count).any():
                if not classes.void_colors:
                    raise DataRefused(f"class table {classes.name} has no void_colors, and a mask has void pixels")
                palette[classes.count :] = classes.void_colors[0]
            return Image.fromarray(palette[mask])
        table = np.zeros(256, np.uint8)
        if self.coding:
            table = _values(self.coding, classes)
        else:
            void = next(value for value in (VOID, *classes.void) if classes.id_of_value[value] == VOID)
            table[:] = void
            table[: classes.count] = [entry.values[0] for entry in classes.classes]
        return Image.fromarray(table[mask])


def _coding(classes: ClassTable) -> str:
    """The first of IDD's codings that can write every class of a table."""
    for name in CODINGS:
        try:
            _values(name, classes)
        except (Undecodable, KeyError):
            continue
        return name
    raise DataRefused(f"no label picture of IDD's can hold all classes of {classes.name}: label polygons instead")


def _values(coding: str, classes: ClassTable) -> np.ndarray:
    """What a label picture stores for each class and for void, uint8 (256,)."""
    known = coding_named(coding)
    table = np.full(256, VOID, np.uint8)
    for number in range(classes.count):
        table[number] = next(
            value for value in sorted(known.labels) if _stands_for(known.labels[value], classes, number)
        )
    return table


def _stands_for(labels: tuple[str, ...], classes: ClassTable, number: int) -> bool:
    return {classes.id_of_label[label] for label in labels} == {number}


def _inner(stem: str, name: str) -> str:
    """The id as a file's name has it: of numbered files with zeros before."""
    if name in stem:
        found = re.search(rf"0*{re.escape(name)}(?!.*{re.escape(name)})", stem) if name.isdecimal() else None
        return found[0] if found and not stem.startswith(name) else name
    raise DataRefused(f"{stem}: its id {name} is no part of its name, so names of new files are not known")


def _place_of(wanted: list[str], parts: list[str]) -> int | None:
    for place in range(len(parts) - len(wanted), -1, -1):
        if wanted and parts[place : place + len(wanted)] == wanted:
            return place
    return None


def _changed(part: str, ours: str, theirs: str) -> str:
    """A folder of images as the one of masks, as `ours` becomes `theirs`: `test` to `testannot` as `train` does."""
    start = 0
    while start < min(len(ours), len(theirs)) and ours[start] == theirs[start]:
        start += 1
    end = 0
    while end < min(len(ours), len(theirs)) - start and ours[-1 - end] == theirs[-1 - end]:
        end += 1
    old, new = ours[start : len(ours) - end], theirs[start : len(theirs) - end]
    if old:
        return part.replace(old, new, 1) if old in part else theirs
    return part + new if start else new + part
