"""Small pictures that travel inside a page."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.imaging.masks import decode_classes
from roadseg.imaging.pixels import Undecodable, decode_image, read_bytes
from roadseg.pages.draw import colourise

BOX = (256, 192)  # width and height that a thumbnail fits into


@dataclass(frozen=True)
class Thumbnail:
    """A picture as a data URI, or the reason why there is none."""

    uri: str = ""
    fault: str = ""


def image_thumbnail(root: Path, name: str | None) -> Thumbnail:
    """Shrink an image of `root`; a missing or broken one gives its fault."""
    if not name:
        return Thumbnail(fault="there is no image")
    try:
        picture = Image.fromarray(decode_image(read_bytes(root / name)))
    except (Undecodable, OSError) as error:
        return Thumbnail(fault=str(error))
    return Thumbnail(_uri(_fitted(picture, BOX, Image.Resampling.BILINEAR), lossless=False))


def mask_thumbnail(root: Path, name: str | None, classes: ClassTable, coding: str | None = None) -> Thumbnail:
    """Shrink a mask of `root` in its classes' colours; void, and ids outside the table, are black."""
    if not name:
        return Thumbnail(fault="there is no mask")
    try:
        ids, _ = decode_classes(read_bytes(root / name), name, classes, coding=coding)
    except (Undecodable, OSError) as error:
        return Thumbnail(fault=str(error))
    small = np.asarray(_fitted(Image.fromarray(ids), BOX, Image.Resampling.NEAREST))
    return Thumbnail(_uri(Image.fromarray(colourise(small, classes)), lossless=True))


def thumbnail(pixels: np.ndarray, box: tuple[int, int], lossless: bool) -> Thumbnail:
    """Shrink uint8 (H, W, 3) to fit into width and height `box`; lossless also keeps every colour as it was."""
    resample = Image.Resampling.NEAREST if lossless else Image.Resampling.BILINEAR
    return Thumbnail(_uri(_fitted(Image.fromarray(pixels), box, resample), lossless))


def _fitted(picture: Image.Image, box: tuple[int, int], resample: Image.Resampling) -> Image.Image:
    picture.thumbnail(box, resample, reducing_gap=None)  # shrinks, never enlarges
    return picture


def _uri(picture: Image.Image, lossless: bool) -> str:
    encoded = io.BytesIO()
    picture.save(encoded, "WEBP", quality=65, lossless=lossless)
    return f"data:image/webp;base64,{base64.b64encode(encoded.getvalue()).decode()}"
