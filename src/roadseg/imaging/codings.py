"""What the ids in IDD's ready label pictures mean; the file's name says which of five codings they are in."""

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from posixpath import splitext

import numpy as np

from roadseg.contracts.classes import VOID, ClassTable
from roadseg.imaging.pixels import Undecodable

# What decodes to most levels first: level 4 joins what levels 2 and 3 tell apart.
CODINGS = ("id", "level3", "level2", "level4", "level1")
ENDING = re.compile(r"_gtFine_label(level[1-4]Id|id)s\.[^/]*$", re.IGNORECASE)  # of the file, not of a folder


@dataclass(frozen=True)
class Coding:
    """One column of the authors' label table.

    Attributes:
        name: one of `CODINGS`.
        labels: the labels that a stored value stands for.
    """

    name: str
    labels: dict[int, tuple[str, ...]]

    def id_of_value(self, present: list[int], classes: ClassTable) -> np.ndarray:
        """Class ids of a table by stored value.

        Args:
            present: the values that a picture holds; only these need a class.
            classes: the table; each class lists its labels.

        Returns:
            int16 (256,), `VOID` for void, -1 for values that are absent or not in the coding.

        Raises:
            Undecodable: a value stands for labels of several classes, or for a label that no class lists.
        """
        ids = np.full(256, -1, np.int16)
        for value in present:
            meant = {label: self._class_of(value, label, classes) for label in self.labels.get(value, ())}
            if len(set(meant.values())) > 1:
                raise Undecodable(
                    f"{self._id} {value} stands for {', '.join(meant)}, which are several classes of "
                    f"{classes.name}: use the polygons, finer label pictures or a coarser class table"
                )
            ids[value] = next(iter(meant.values()), -1)
        return ids

    @property
    def _id(self) -> str:
        return self.name if self.name == "id" else f"{self.name} id"

    def _class_of(self, value: int, label: str, classes: ClassTable) -> int:
        if label not in classes.id_of_label:
            raise Undecodable(
                f"{self._id} {value} stands for {label!r}, which no class of {classes.name} lists: add it to the "
                "`labels` of a class or to `void_labels`"
            )
        return classes.id_of_label[label]


def coding_of(name: str) -> Coding | None:
    """The coding of a label picture by its file name; None for files that are not IDD's."""
    found = ENDING.search(name)
    return _codings()[found[1].lower().removesuffix("id") or "id"] if found else None


def how_coded(name: str) -> str:
    """What of a label file's name decides how it is read: its ending, and the coding where it names one."""
    coding = coding_of(name)
    return f"{coding.name if coding else ''}{splitext(name)[1].lower()}"


@cache
def _codings() -> dict[str, Coding]:
    table = resources.files("roadseg.contracts") / "tables" / "idd-labels.csv"
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    codings = {}
    for name in CODINGS:
        labels: dict[int, tuple[str, ...]] = {}
        for row in rows:
            labels[int(row[name])] = (*labels.get(int(row[name]), ()), row["label"])
        codings[name] = Coding(name, labels)
    codings["id"].labels[VOID] = ("unlabeled",)  # the authors' ids have no 255, but void is 255 everywhere
    return codings
