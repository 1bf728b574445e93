"""What MLflow hands to a served model, as images, and the answer to it; JSON arrives here as it was sent.

Pictures in base64 are answered by masks in base64, arrays by arrays.
"""

import base64
import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from roadseg.contracts.errors import DataRefused
from roadseg.imaging.pixels import decode_image

WANTED = "send pictures in base64, or whole numbers 0..255 of shape (N, H, W, 3), RGB"


def images_of(given: Any) -> tuple[list[np.ndarray], bool]:
    """The images that a request means.

    Args:
        given: of text, pictures' bytes in base64, also as data URLs; of bytes, pictures; or whole numbers 0..255
            (N, H, W, 3), RGB. All as an array, a list, or the only column of a table or of a dictionary.

    Returns:
        uint8 (H, W, 3) each, and whether they came as pictures.

    Raises:
        DataRefused: it is none of that; says what is wrong, and what is wanted.
    """
    content = _column(given)
    if isinstance(content, np.ndarray) and content.dtype.kind not in "OSU":
        return list(_pixels(content)), False
    listed = _listed(content)
    if listed and all(isinstance(one, str | bytes) for one in listed):
        return [_picture(number, one) for number, one in enumerate(listed)], True
    try:
        array = np.asarray(listed)
    except ValueError:
        raise DataRefused(f"the images differ in size; {WANTED}") from None
    return list(_pixels(array)), False


def payload_of(masks: Iterable[np.ndarray], as_pictures: bool) -> Any:
    """Masks as the request's images came: PNG of class ids in base64 each, or uint8 (N, H, W)."""
    return [_png(mask) for mask in masks] if as_pictures else np.stack(list(masks))


def _column(given: Any) -> Any:
    if isinstance(given, pd.DataFrame):
        given = {name: given[name].tolist() for name in given.columns}
    if not isinstance(given, Mapping):
        return given.item() if isinstance(given, np.ndarray) and not given.ndim else given
    if len(given) != 1:
        raise DataRefused(f"there are the columns {', '.join(map(str, given)) or 'none'} and not one; {WANTED}")
    return _column(next(iter(given.values())))


def _listed(content: Any) -> list[Any]:
    """One by one, each out of its own column where it has one."""
    if isinstance(content, str | bytes):
        return [content]
    listed = list(content.ravel()) if isinstance(content, np.ndarray) else content
    if not isinstance(listed, list):
        raise DataRefused(f"it is of type {type(content).__name__}; {WANTED}")
    return [_column(one) for one in listed]


def _picture(number: int, sent: str | bytes) -> np.ndarray:
    try:
        return decode_image(sent if isinstance(sent, bytes) else _decoded(sent))
    except DataRefused as error:
        raise DataRefused(f"picture {number} {error}; {WANTED}") from None


def _decoded(text: str) -> bytes:
    bare = "".join(text.partition(",")[2].split() if text.startswith("data:") else text.split())
    try:
        return base64.b64decode(bare, validate=True)
    except ValueError:
        raise DataRefused("is not base64") from None


def _pixels(array: np.ndarray) -> np.ndarray:
    """The array as uint8, checked."""
    if array.dtype.kind == "f":
        raise DataRefused(f"the array holds floats: multiply what is in 0..1 by 255 and round it; {WANTED}")
    if array.dtype.kind not in "iu":
        raise DataRefused(f"the array holds {array.dtype} and no whole numbers; {WANTED}")
    if array.ndim != 4 or array.shape[-1] != 3 or not array.size:
        raise DataRefused(f"the array has shape {array.shape}; {WANTED}")
    low, high = array.min(), array.max()
    if low < 0 or high > 255:
        raise DataRefused(f"the array holds numbers from {low} to {high}; {WANTED}")
    return array.astype(np.uint8)


def _png(mask: np.ndarray) -> str:
    written = io.BytesIO()
    Image.fromarray(mask).save(written, "PNG")
    return base64.b64encode(written.getvalue()).decode()
