"""Whether 255 is a class or void, where a table leaves that to the masks: a binary set stores 0 and 1, or 0 and 255."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np

from roadseg.contracts.classes import VOID, ClassEntry, ClassTable, built_in
from roadseg.imaging.codings import coding_of_place
from roadseg.imaging.masks import POLYGONS, decode_mask
from roadseg.imaging.pixels import naming, read_bytes


def doubtful(classes: ClassTable) -> ClassEntry | None:
    """The class that a built-in table finds by 255 or by another value; who writes both into a table means both."""
    entry = next((entry for entry in classes.classes if VOID in entry.values and len(entry.values) > 1), None)
    if entry is None or classes.source != "id" or classes.name not in built_in() or classes != _found(classes.name):
        return None
    return entry


_found = cache(ClassTable.find)  # asked for each mask


def read_values(path: Path, classes: ClassTable) -> list[int]:
    """The values that a label picture stores, sorted, where the table is doubtful; none of polygons and IDD's codings.

    Raises:
        Undecodable, OSError: see `read_bytes` and `decode_mask`.
    """
    if doubtful(classes) is None or path.suffix.lower() == POLYGONS or coding_of_place(path, classes):
        return []
    with naming(path):
        values: list[int] = np.unique(decode_mask(read_bytes(path))).tolist()
    return values


def settled(classes: ClassTable, masks: Iterable[list[int]]) -> ClassTable:
    """The table by which all masks of a set are read.

    Args:
        classes: the table.
        masks: the values of each mask.

    Returns:
        The table, without 255 in the class where some mask holds it beside the class's other value: then 255 marks what
        is to be ignored, in every mask of the set.
    """
    entry = doubtful(classes)
    if entry is None or not any(VOID in values and {*values} & {*entry.values} - {VOID} for values in masks):
        return classes
    content = classes.content
    content["classes"][entry.id]["values"] = [value for value in entry.values if value != VOID]
    return ClassTable.model_validate(content)
