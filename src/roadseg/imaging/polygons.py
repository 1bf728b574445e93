"""Label files that list polygons, as IDD and Cityscapes deliver them."""

import json
import math
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from roadseg.contracts.classes import VOID, ClassTable
from roadseg.imaging.foreign import told_apart
from roadseg.imaging.pixels import MAX_PIXELS, Undecodable

MAX_COORDINATE = 1e6  # farther out nobody meant it, and Pillow's integers end


def decode_polygons(content: bytes, classes: ClassTable) -> np.ndarray:
    """Decode polygons to uint8 (H, W) with 0..K-1 and 255 for void.

    Later objects cover earlier ones; deleted objects and polygons under three points are skipped; an unknown label
    that ends in `group` is read without it; capitals and outer spaces of a label do not count where the table has no
    label that is written so; what nothing covers is void.

    Raises:
        Undecodable: not whole, not polygons, too large, or a label that the table does not list.

    Source: the IDD authors' label generation, AutoNUE/public-code; polygons are drawn by Pillow as there.
    """
    labels = _load(content)
    height, width = (_size(labels, key) for key in ("imgHeight", "imgWidth"))
    if height * width > MAX_PIXELS:
        raise Undecodable(f"{width}x{height} is over {MAX_PIXELS} pixels")
    picture = Image.new("L", (width, height), VOID)
    drawer = ImageDraw.Draw(picture)
    known = _spelt(classes)
    for number, drawn in enumerate(labels["objects"]):
        name = f"objects[{number}]"
        if not isinstance(drawn, dict):
            raise Undecodable(f"{name} is {drawn!r:.40}, which is no list of polygons with labels: repair or delete it")
        if drawn.get("deleted"):
            continue
        label, points = drawn.get("label"), drawn.get("polygon")
        if not isinstance(label, str):
            raise Undecodable(f"{name} has label {label!r:.40}, no text: repair it, or mark the object as deleted")
        if not isinstance(points, list):
            raise Undecodable(
                f"{name}, {label!r}, has no `polygon` that lists points: draw it anew, or mark the object as deleted"
            )
        if len(points) >= 3:
            drawer.polygon(_points(points, f"{name}, {label!r},"), fill=_class_of(label, name, known, classes))
    return np.array(picture)


def _load(content: bytes) -> dict[str, Any]:
    try:
        labels = json.loads(content)  # in any of Unicode's encodings, with a byte order mark or without
    except (ValueError, RecursionError) as error:
        raise Undecodable(f"is not valid JSON: {error}") from None
    ours = isinstance(labels, dict) and isinstance(labels.get("objects"), list)
    if not (ours and "imgHeight" in labels) and (foreign := told_apart(labels)):
        raise Undecodable(foreign)
    if not ours:
        raise Undecodable("holds no `objects`: polygon files have imgHeight, imgWidth and objects")
    found: dict[str, Any] = labels
    return found


def _size(labels: dict[str, Any], key: str) -> int:
    size = labels.get(key)
    if isinstance(size, bool) or not isinstance(size, int | float) or size <= 0 or size % 1:
        raise Undecodable(f"{key} is {size!r}, not a number of pixels")
    return int(size)


def _points(listed: list[Any], owner: str) -> list[tuple[float, float]]:
    try:
        points = [(float(x), float(y)) for x, y in listed]
    except (TypeError, ValueError, OverflowError):
        raise Undecodable(f"{owner} is no list of points [x, y]: draw it anew, or mark the object as deleted") from None
    if not all(math.isfinite(x) and abs(x) < MAX_COORDINATE for point in points for x in point):
        raise Undecodable(
            f"{owner} has a point far outside of the picture: draw it anew, or mark the object as deleted"
        )
    return points


def _spelt(classes: ClassTable) -> dict[str, int]:
    """Class ids by label in small letters, of those labels that are then still of one class."""
    ids: dict[str, set[int]] = {}
    for label, number in classes.id_of_label.items():
        ids.setdefault(_plain(label), set()).add(number)
    return {label: numbers.pop() for label, numbers in ids.items() if len(numbers) == 1}


def _plain(label: str) -> str:
    return " ".join(label.split()).casefold()


def _class_of(label: str, name: str, known: dict[str, int], classes: ClassTable) -> int:
    for spelt in (label, label.removesuffix("group")):
        if spelt in classes.id_of_label:
            return classes.id_of_label[spelt]
    for plain in (_plain(label), _plain(label).removesuffix("group").rstrip()):
        if plain in known:
            return known[plain]
    raise Undecodable(
        f"holds label {label!r}, which no class of {classes.name} lists: add it to the `labels` of a class or "
        f"to `void_labels` ({name})"
    )
