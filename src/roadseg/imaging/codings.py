"""What the ids in IDD's ready label pictures mean; the file's name says which of five codings they are in.

Other tools use the same names for ids of their own, so a name counts only in IDD's layout and under a table of IDD's.
"""

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from roadseg.contracts.classes import VOID, ClassTable
from roadseg.imaging.pixels import Undecodable

# What decodes to most levels first: level 4 joins what levels 2 and 3 tell apart.
CODINGS = ("id", "level3", "level2", "level4", "level1")
LAYOUT = "idd-20k"  # of scan; the only one whose label pictures are coded by name
PLACE = re.compile(r"/gtFine/(train|val|test)/[^/]+/[^/]+$")
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
            present: the values that a picture holds.
            classes: the table, which lists all of IDD's labels.

        Returns:
            int16 (256,), `VOID` for void, -1 for values that are absent or not in the coding.

        Raises:
            Undecodable: a value stands for labels of several classes.
        """
        ids = np.full(256, -1, np.int16)
        for value in present:
            meant = {label: classes.id_of_label[label] for label in self.labels.get(value, ())}
            if len(set(meant.values())) > 1:
                called = self.name if self.name == "id" else f"{self.name} id"
                raise Undecodable(
                    f"{called} {value} stands for {', '.join(meant)}, which are several classes of "
                    f"{classes.name}: use the polygons, finer label pictures or a coarser class table"
                )
            ids[value] = next(iter(meant.values()), -1)
        return ids


def coding_of(name: str) -> Coding | None:
    """The coding of a label picture by its file name; None for other names."""
    found = ENDING.search(name)
    return _codings()[found[1].lower().removesuffix("id") or "id"] if found else None


def coding_named(name: str) -> Coding:
    """The coding of that name, of `CODINGS`."""
    return _codings()[name]


def coding_of_sample(mask: str, layout: str, classes: ClassTable) -> str | None:
    """Name of the coding by which a sample's mask is read; None where its ids are the table's `values`.

    Args:
        mask: the label file.
        layout: of the data, see scan.
        classes: the table; it is one of IDD's if it lists every label of theirs.
    """
    coding = coding_of(mask) if layout == LAYOUT and knows_labels(classes) else None
    return coding.name if coding else None


def coding_of_place(path: Path, classes: ClassTable) -> str | None:
    """`coding_of_sample` of a label outside of a manifest: IDD's own lie in gtFine/<split>/<drive>."""
    return coding_of_sample(path.name, LAYOUT if PLACE.search(path.resolve().as_posix()) else "", classes)


def knows_labels(classes: ClassTable) -> bool:
    """Whether a table says what each of IDD's labels is."""
    return all(label in classes.id_of_label for labels in _codings()["id"].labels.values() for label in labels)


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
