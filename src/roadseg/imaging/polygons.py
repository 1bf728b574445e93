"""Label files that list polygons, as IDD and Cityscapes deliver them."""

import json
import math
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from roadseg.contracts.classes import VOID, ClassTable
from roadseg.imaging.pixels import MAX_PIXELS, Undecodable

MAX_COORDINATE = 1e6  # farther out nobody meant it, and Pillow's integers end


def decode_polygons(content: bytes, classes: ClassTable) -> np.ndarray:
    """Decode polygons to uint8 (H, W) with 0..K-1 and 255 for void.

    Later objects cover earlier ones; deleted objects and polygons under three points are skipped; an unknown label
    that ends in `group` is read without it; what nothing covers is void.

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
    try:
        for drawn in labels["objects"]:
            if not drawn.get("deleted") and len(drawn["polygon"]) >= 3:
                drawer.polygon(_points(drawn), fill=_class_of(drawn["label"], classes))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Undecodable(f"is no list of polygons with labels ({type(error).__name__}: {error})") from None
    return np.array(picture)


def _load(content: bytes) -> dict[str, Any]:
    try:
        labels = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise Undecodable(f"is not valid JSON: {error}") from None
    if not isinstance(labels, dict) or not isinstance(labels.get("objects"), list):
        raise Undecodable("holds no `objects`: polygon files have imgHeight, imgWidth and objects")
    return labels


def _size(labels: dict[str, Any], key: str) -> int:
    size = labels.get(key)
    if not isinstance(size, int) or size <= 0:
        raise Undecodable(f"{key} is {size!r}, not a number of pixels")
    return size


def _points(drawn: dict[str, Any]) -> list[tuple[float, float]]:
    points = [(float(x), float(y)) for x, y in drawn["polygon"]]
    if not all(math.isfinite(x) and abs(x) < MAX_COORDINATE for point in points for x in point):
        raise Undecodable(f"a polygon of {drawn['label']!r} has a point far outside of the picture")
    return points


def _class_of(label: str, classes: ClassTable) -> int:
    for name in (label, label.removesuffix("group")):
        if name in classes.id_of_label:
            return classes.id_of_label[name]
    raise Undecodable(
        f"holds label {label!r}, which no class of {classes.name} lists: add it to the `labels` of a class or to "
        "`void_labels`"
    )
