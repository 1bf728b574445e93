"""The one door from any label file to class ids."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from roadseg.contracts.classes import VOID, ClassTable
from roadseg.imaging.codings import coding_named, coding_of_place
from roadseg.imaging.depth import BITS, GREY_16
from roadseg.imaging.pixels import Undecodable, decode_picture, naming, read_bytes, resize_mask
from roadseg.imaging.polygons import decode_polygons

BYTE_MODES = {"L", "P"}  # P: the palette only paints, the index is the id
NUMBERS = GREY_16 | {"1", "I", "F"}
CHANNELS = {"LA", "RGB", "RGBA"}
POLYGONS = ".json"
UNKNOWN = 254  # between the last id a class can have, 199, and void
MAX_COLORS = 256  # a lossy picture holds tens of thousands: so many are named


def read_classes(path: Path, classes: ClassTable, coding: str | None = None) -> tuple[np.ndarray, list[int]]:
    """`decode_classes` of a file.

    Raises:
        Undecodable, OSError: see `read_bytes` and `decode_classes`; names the file.
    """
    with naming(path):
        return decode_classes(read_bytes(path), path.name, classes, coding=coding)


def read_label(path: Path, classes: ClassTable) -> tuple[np.ndarray, list[int]]:
    """`read_classes` of a label that stands in no manifest; only its place can then say that IDD's ids are in it."""
    return read_classes(path, classes, coding_of_place(path, classes))


def decode_classes(
    content: bytes, name: str, classes: ClassTable, size: tuple[int, int] | None = None, coding: str | None = None
) -> tuple[np.ndarray, list[int]]:
    """Decode a label file to classes: polygons in JSON, a mask of colours, IDD's own ids by level, or plain ids.

    Args:
        content: the file's bytes.
        name: the file's, whose ending tells polygons from pictures.
        classes: the table by which it is read.
        size: height and width to resize to, nearest neighbour; without it the mask's own. Ids are mapped after it,
            which gives the same classes from fewer pixels; what is outside is then what was seen.
        coding: of IDD's own label pictures, see `coding_of_sample`; without it ids are the table's `values`.

    Returns:
        As `to_classes`; with `source: color` what is outside are packed colours 0xRRGGBB, see `colors_to_classes`.

    Raises:
        Undecodable: see `decode_polygons`, `decode_colors`, `decode_mask` and `Coding.id_of_value`.
    """
    if name.lower().endswith(POLYGONS):
        mask = decode_polygons(content, classes)
        return resize_mask(mask, *size) if size else mask, []
    return classes_of(decode_picture(content), classes, size, coding)


def classes_of(
    picture: Image.Image, classes: ClassTable, size: tuple[int, int] | None = None, coding: str | None = None
) -> tuple[np.ndarray, list[int]]:
    """`decode_classes` of a decoded picture."""
    if classes.source == "color":
        mask, outside = colors_to_classes(_colors_of(picture), classes)
        return resize_mask(mask, *size) if size else mask, outside
    stored = ids_of(picture, size)
    if coding:
        return _looked_up(stored, coding_named(coding).id_of_value(np.unique(stored).tolist(), classes))
    return to_classes(stored, classes)


def decode_mask(content: bytes, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode a label picture to its stored ids, uint8 (H, W), unchecked; `size` as in `decode_classes`.

    Raises:
        Undecodable: see `decode_picture` and `ids_of`.
    """
    return ids_of(decode_picture(content), size)


def ids_of(picture: Image.Image, size: tuple[int, int] | None = None) -> np.ndarray:
    """`decode_mask` of a decoded picture.

    Raises:
        Undecodable: not one channel or several that are equal and opaque, or no ids from 0 to 255.
    """
    if picture.mode in BYTE_MODES:
        return np.asarray(picture.resize(size[::-1], Image.Resampling.NEAREST) if size else picture)
    if picture.mode in CHANNELS:
        ids = _only_channel(picture)
    elif picture.mode in NUMBERS:
        ids = _whole_numbers(np.asarray(picture))
    else:
        raise Undecodable(_not_ids(picture.mode))
    return resize_mask(ids, *size) if size else ids


def _only_channel(picture: Image.Image) -> np.ndarray:
    """The ids of a picture whose channels are equal, as tools write that know no grey: uint8 (H, W)."""
    if picture.info.get(BITS, 8) > 8:
        raise Undecodable(
            f"has mode {picture.mode} with {picture.info[BITS]} bits a channel: export ids as 8 bits grey"
        )
    transparent = picture.mode.endswith("A") and picture.getchannel("A").getextrema()[0] != VOID
    first, *others = (picture.getchannel(name).tobytes() for name in picture.getbands() if name != "A")
    if any(other != first for other in others):
        raise Undecodable(_not_ids(picture.mode))
    if transparent:
        raise Undecodable("is transparent in places: a mask must be opaque; write void as 255 instead")
    return np.asarray(picture.getchannel(0))


def _whole_numbers(stored: np.ndarray) -> np.ndarray:
    """Ids out of wider numbers, uint8 (H, W); none wraps and none is rounded."""
    low, high = stored.min(initial=0), stored.max(initial=0)
    if not (low >= 0 and high <= VOID):  # NaN is neither
        raise Undecodable(f"holds ids from {low:g} to {high:g}, outside 0..255")
    ids = stored.astype(np.uint8)
    if stored.dtype.kind == "f" and (ids != stored).any():
        raise Undecodable("holds numbers that are not whole, so no class ids: export ids as 8 bits grey")
    return ids


def _not_ids(mode: str) -> str:
    advice = (
        "a class table with `source: color` reads colours" if mode in {"RGB", "RGBA"} else "export it as 8 bits grey"
    )
    return f"has mode {mode}: a mask has one channel of class ids, not colours; {advice}"


def decode_colors(content: bytes) -> np.ndarray:
    """Decode a mask of colours to uint32 (H, W), each pixel packed as 0xRRGGBB.

    Raises:
        Undecodable: not whole, without colours, or not opaque.
    """
    return _colors_of(decode_picture(content))


def _colors_of(picture: Image.Image) -> np.ndarray:
    if picture.mode not in {"RGB", "RGBA", "P"} or picture.info.get(BITS, 8) > 8:
        deep = f" with {picture.info[BITS]} bits a channel" if BITS in picture.info else ""
        raise Undecodable(
            f"has mode {picture.mode}{deep}: the class table says that masks hold colours (`source: color`) of 8 bits"
        )
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
