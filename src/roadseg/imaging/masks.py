"""The one door from any label file to class ids."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from roadseg.contracts.classes import VOID, ClassTable
from roadseg.imaging.codings import coding_of
from roadseg.imaging.pixels import Undecodable, decode_picture, naming, read_bytes, resize_mask
from roadseg.imaging.polygons import decode_polygons

BYTE_MODES = {"L", "P"}  # P: the palette only paints, the index is the id
ID_MODES = BYTE_MODES | {"1", "I;16", "I"}
UNKNOWN = 254  # between the last id a class can have, 199, and void
MAX_COLORS = 256  # a lossy picture holds tens of thousands: so many are named


def read_classes(path: Path, classes: ClassTable) -> tuple[np.ndarray, list[int]]:
    """`decode_classes` of a file.

    Raises:
        Undecodable, OSError: see `read_bytes` and `decode_classes`; names the file.
    """
    with naming(path):
        return decode_classes(read_bytes(path), path.name, classes)


def decode_classes(
    content: bytes, name: str, classes: ClassTable, size: tuple[int, int] | None = None
) -> tuple[np.ndarray, list[int]]:
    """Decode a label file to classes: polygons in JSON, a mask of colours, IDD's own ids by level, or plain ids.

    Args:
        content: the file's bytes.
        name: the file's, whose ending says how it is coded.
        classes: the table by which it is read.
        size: height and width to resize to, nearest neighbour; without it the mask's own. Ids are mapped after it,
            which gives the same classes from fewer pixels; what is outside is then what was seen.

    Returns:
        As `to_classes`; with `source: color` what is outside are packed colours 0xRRGGBB, see `colors_to_classes`.

    Raises:
        Undecodable: see `decode_polygons`, `decode_colors`, `decode_mask` and `Coding.id_of_value`.
    """
    if name.lower().endswith(".json"):
        mask = decode_polygons(content, classes)
        return resize_mask(mask, *size) if size else mask, []
    if classes.source == "color":
        mask, outside = colors_to_classes(decode_colors(content), classes)
        return resize_mask(mask, *size) if size else mask, outside
    stored = decode_mask(content, size)
    if coding := coding_of(name):
        return _looked_up(stored, coding.id_of_value(np.unique(stored).tolist(), classes))
    return to_classes(stored, classes)


def decode_mask(content: bytes, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode a label picture to its stored ids, uint8 (H, W), unchecked; `size` as in `decode_classes`.

    Raises:
        Undecodable: not whole, not one channel, or an id over 255.
    """
    picture = decode_picture(content)
    if picture.mode not in ID_MODES:
        raise Undecodable(
            f"has mode {picture.mode}: a mask has one channel of class ids, not colours; "
            "a class table with `source: color` reads colours"
        )
    if picture.mode in BYTE_MODES:
        return np.asarray(picture.resize(size[::-1], Image.Resampling.NEAREST) if size else picture)
    stored = np.asarray(picture)
    if stored.max(initial=0) > VOID or stored.min(initial=0) < 0:
        raise Undecodable(f"holds ids from {stored.min()} to {stored.max()}, outside 0..255")
    ids = stored.astype(np.uint8)
    return resize_mask(ids, *size) if size else ids


def decode_colors(content: bytes) -> np.ndarray:
    """Decode a mask of colours to uint32 (H, W), each pixel packed as 0xRRGGBB.

    Raises:
        Undecodable: not whole, without colours, or not opaque.
    """
    picture = decode_picture(content)
    if picture.mode not in {"RGB", "RGBA", "P"}:
        raise Undecodable(f"has mode {picture.mode}: the class table says that masks hold colours (`source: color`)")
    rgba = np.asarray(picture.convert("RGBA"))
    if rgba[..., 3].min(initial=255) < 255:
        raise Undecodable("is transparent in places: a mask of colours must be opaque")
    red, green, blue = (rgba[..., channel].astype(np.uint32) for channel in range(3))
    return (red << 16) | (green << 8) | blue


def to_classes(stored: np.ndarray, classes: ClassTable) -> tuple[np.ndarray, list[int]]:
    """Map stored ids to classes.

    Args:
        stored: uint8 (H, W) as `decode_mask` gives it.
        classes: the table they belong to; its `values` say what is stored for each class.

    Returns:
        uint8 (H, W) with 0..K-1 and 255 for void, and the ids that are neither, sorted; those
        become void, so who may not lose pixels looks at them.
    """
    return _looked_up(stored, classes.id_of_value)


def colors_to_classes(packed: np.ndarray, classes: ClassTable) -> tuple[np.ndarray, list[int]]:
    """Map colours to classes, exactly: a colour one step off is another colour.

    Args:
        packed: uint32 (H, W), 0xRRGGBB as `decode_colors` gives it.
        classes: the table with the colours of classes and of void.

    Returns:
        uint8 (H, W) as `to_classes`, and the unknown colours, sorted, the first `MAX_COLORS` of them.
    """
    mask = _color_lookup(tuple(classes.id_of_color.items()))[packed]
    unknown = mask == UNKNOWN
    outside = np.unique(packed[unknown])[:MAX_COLORS].tolist()
    mask[unknown] = VOID
    return mask, outside


def _looked_up(stored: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Apply int16 (256,), where -1 is outside, to uint8 (H, W)."""
    table = np.where(ids < 0, UNKNOWN, ids).astype(np.uint8)
    # bytes.translate is a tenth of the cost of indexing, and a mask without what is outside is the rule
    written = bytearray(stored.tobytes().translate(table.tobytes()))
    mask = np.frombuffer(written, np.uint8).reshape(stored.shape)
    if UNKNOWN not in written:
        return mask, []
    outside = np.unique(stored[mask == UNKNOWN]).tolist()
    mask[mask == UNKNOWN] = VOID
    return mask, outside


@lru_cache(maxsize=2)
def _color_lookup(known: tuple[tuple[int, int], ...]) -> np.ndarray:
    table = np.full(1 << 24, UNKNOWN, np.uint8)  # 16 MB, and five times as fast as a binary search per pixel
    for color, number in known:
        table[color] = number
    return table
