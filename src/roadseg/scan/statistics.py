"""The facts of one file, from its pixels."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.fft import dctn

from roadseg.contracts.classes import VOID, ClassTable
from roadseg.imaging.ignored import doubtful
from roadseg.imaging.masks import POLYGONS, classes_of, decode_classes, ids_of
from roadseg.imaging.orientation import TURNED
from roadseg.imaging.palettes import Palette
from roadseg.imaging.pixels import Undecodable, decode_picture, lossy_coding, read_bytes, rgb
from roadseg.scan.interpolation import interpolation

GREY = np.array([0.299, 0.587, 0.114], np.float32)
JPEG = (".jpg", ".jpeg")  # an expectation finds such masks by their name


class _Unreadable(Exception):
    """A file has no bytes to tell of."""


def image_facts(path: Path) -> dict[str, Any]:
    """Describe an image.

    Returns:
        `image_sha`, `height`, `width`, `brightness` and `contrast` (mean and deviation of grey, 0..1), `sharpness`
        (variance of the Laplacian of grey, 0..255), `phash` and `orientation` (by which it was turned, see `upright`;
        null where it lay right); of a file that cannot be decoded `image_sha` and `error`; of one that cannot be read
        only `error`.
    """
    try:
        content, digest = _read(path)
        picture = decode_picture(content)
        image = np.asarray(rgb(picture))
    except _Unreadable as error:
        return {"error": str(error)}
    except Undecodable as error:
        return {"image_sha": digest, "error": str(error)}
    grey = image.astype(np.float32) @ GREY
    edges = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return {
        "image_sha": digest,
        "height": image.shape[0],
        "width": image.shape[1],
        "brightness": float(grey.mean() / 255),
        "contrast": float(grey.std() / 255),
        "sharpness": float(edges.var()) if edges.size else 0.0,
        "phash": perceptual_hash(grey),
        "orientation": picture.info.get(TURNED),
    }


def mask_facts(path: Path, classes: ClassTable, coding: str | None = None) -> dict[str, Any]:
    """Describe a mask.

    Returns:
        `mask_sha`, `mask_height`, `mask_width`, `class_pixels` (void last), `invalid_ids`, `interpolation` and what
        `agreement` compares; of a file that cannot be decoded `mask_sha` and `error`; of one that cannot be read only
        `error`.
    """
    try:
        content, digest = _read(path)
        if path.suffix.lower() == POLYGONS:
            (mask, outside), stored = decode_classes(content, path.name, classes), {}
        else:
            _refuse_lossy(content, path)
            picture = decode_picture(content)
            mask, outside = classes_of(picture, classes, coding=coding)
            stored = {"coded": np.unique(ids_of(picture)).tolist()} if coding else _stored(picture, classes)
    except _Unreadable as error:
        return {"error": str(error)}
    except Undecodable as error:
        return {"mask_sha": digest, "error": str(error)}
    counts = np.bincount(np.minimum(mask, classes.count).ravel(), minlength=classes.count + 1)
    return {
        "mask_sha": digest,
        "mask_height": mask.shape[0],
        "mask_width": mask.shape[1],
        "class_pixels": counts.tolist(),
        "invalid_ids": outside,
        "interpolation": interpolation(mask),
    } | stored


def _stored(picture: Image.Image, classes: ClassTable) -> dict[str, Any]:
    """What a label picture holds that only other masks can explain."""
    facts: dict[str, Any] = {}
    if picture.mode == "P" and classes.source == "id":
        void = set(np.flatnonzero(classes.id_of_value == VOID).tolist())
        facts["palette"] = Palette.of(picture, void).text
    if doubtful(classes):
        facts["values"] = np.unique(ids_of(picture)).tolist()
    return facts


def _refuse_lossy(content: bytes, path: Path) -> None:
    if path.suffix.lower() in JPEG:
        return
    if coding := lossy_coding(content):
        raise Undecodable(f"is {coding} whatever its name: that can change class ids at every edge; export it as PNG")


def _read(path: Path) -> tuple[bytes, str]:
    """A file's bytes and their sha256."""
    try:
        content = read_bytes(path)
    except OSError as error:
        raise _Unreadable(f"cannot be read: {error.strerror}") from None
    except Undecodable as error:
        raise _Unreadable(str(error)) from None
    return content, hashlib.sha256(content).hexdigest()


def perceptual_hash(grey: np.ndarray) -> int:
    """Hash of the coarse look: near-identical pictures differ in few of its 64 bits.

    Args:
        grey: float32 (H, W).

    Source: "pHash": 32x32 grey, discrete cosine transform, the 8x8 lowest frequencies against their median.
    """
    small = Image.fromarray(grey).resize((32, 32), Image.Resampling.BOX)
    low = dctn(np.asarray(small, np.float64), norm="ortho")[:8, :8].ravel().round(3)
    return int(np.packbits(low > np.median(low[1:])).view(">u8")[0])
