"""From files to pixels and between sizes."""

import errno
import io
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from roadseg.contracts.errors import DataRefused, RoadsegError
from roadseg.imaging.depth import Unscalable, as_rgb, note_depth
from roadseg.imaging.orientation import ON_THE_SIDE, orientation_of, upright

OF_THE_MACHINE = {errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.ESTALE}
MAX_PIXELS = 100_000_000  # above any camera of a car, below what fills the memory
MAX_BYTES = 1 << 30  # above any file of so many pixels
MARGIN = 1.5  # a JPEG's own scaling is sharper than ours; above this what is left of it is under a grey level
LOSSY = {"JPEG": "a JPEG", "MPO": "a JPEG", "JPEG2000": "a JPEG 2000", "AVIF": "an AVIF"}  # by Pillow's names
LOSSY_TIFF = {"jpeg": "a TIFF of JPEG", "tiff_jpeg": "a TIFF of JPEG", "webp": "a TIFF of WebP"}  # by compression
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")  # no other decoder ever sees a file: an EPS runs a program


class Undecodable(DataRefused):
    """A file is not a whole picture; what reads a file names it, what decodes bytes gives the reason alone."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let errors inside name a file: before the reason why it is undecodable, and in those of a failing disk."""
    try:
        yield
    except Undecodable as error:
        raise Undecodable(f"{path}: {error}") from None
    except OSError as error:
        error.filename = error.filename or str(path)  # a read has none, unlike an open
        raise


def read_bytes(path: Path | str) -> bytes:
    """Read a file whole.

    Raises:
        Undecodable: missing, no file, or over `MAX_BYTES`.
        OSError: it cannot be read, as from a failing disk.
    """
    try:
        with open(path, "rb") as opened:  # noqa: PTH123 - a name too
            size = os.fstat(opened.fileno()).st_size
            if size > MAX_BYTES:
                raise Undecodable(f"{size} bytes are over {MAX_BYTES}")
            return opened.read()
    except FileNotFoundError:
        raise Undecodable("the file is missing") from None
    except OSError as error:
        if error.errno in OF_THE_MACHINE:
            raise
        raise Undecodable(f"cannot be read: {error.strerror}") from None


def decode_picture(content: bytes, at_least: tuple[int, int] | None = None) -> Image.Image:
    """Decode a picture whole, turned as viewers show it.

    Args:
        content: the file's bytes.
        at_least: height and width, pixels, that are enough: a JPEG is then decoded at 1/2, 1/4 or 1/8 of its
            size where that still covers them, which leaves out most of the work. Others are decoded in full.

    Returns:
        The picture in its own mode; what `upright` and `note_depth` keep is in its `info`.

    Raises:
        Undecodable: empty, in none of `FORMATS`, truncated, or over `MAX_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is checked below
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
            if picture.width * picture.height > MAX_PIXELS:
                raise Undecodable(f"{picture.width}x{picture.height} is over {MAX_PIXELS} pixels")
            note_depth(picture, content)
            orientation = 1 if picture.format == "PNG" else orientation_of(picture)
            if at_least:
                picture.draft(None, at_least if orientation in ON_THE_SIDE else at_least[::-1])
            picture.load()
            return upright(picture, orientation_of(picture) if picture.format == "PNG" else orientation)
    except RoadsegError:  # said already; or a stage is told to stop
        raise
    except UnidentifiedImageError:
        raise Undecodable("not a picture in a known format") from None
    except MemoryError:  # of this machine, not of the file
        raise
    except Exception as error:  # on broken bytes Pillow's decoders raise anything, also TypeError and SyntaxError
        raise Undecodable(f"cannot be decoded: {error}") from None


def lossy_coding(content: bytes) -> str:
    """Name the coding of a picture where it may change pixels; empty where it is lossless, or no picture.

    JPEG 2000, AVIF and WebP in TIFF have a lossless mode too, which is rare and not told apart.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            formats = (*FORMATS, "JPEG2000", "AVIF")  # two more to name
            picture = Image.open(io.BytesIO(content), formats=formats)  # reads no more than the header
    except (RoadsegError, MemoryError):  # neither is the file's fault
        raise
    except Exception:  # who decodes it says what is wrong
        return ""
    if picture.format == "TIFF":
        return LOSSY_TIFF.get(picture.info.get("compression", ""), "")
    if picture.format == "WEBP":
        return "a lossy WebP" if b"VP8 " in _webp_chunks(content) else ""
    return LOSSY.get(picture.format or "", "")


def _webp_chunks(content: bytes) -> Iterator[bytes]:
    """Names of the chunks: `VP8 ` is a lossy frame, `VP8L` a lossless one.

    Source: the WebP container specification; chunks are padded to even sizes.
    """
    at = len("RIFF....WEBP")
    while name := content[at : at + 4]:
        yield name
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        at += 24 if name == b"ANMF" else 8 + size + size % 2  # ANMF holds 16 bytes and then a frame's chunks


def read_image(path: Path) -> np.ndarray:
    """Decode a picture's file to uint8 (H, W, 3), RGB.

    Raises:
        Undecodable, OSError: see `read_bytes` and `decode_picture`; names the file.
    """
    with naming(path):
        return decode_image(read_bytes(path))


def decode_image(content: bytes) -> np.ndarray:
    """Decode a picture to uint8 (H, W, 3), RGB.

    Raises:
        Undecodable: see `decode_picture` and `rgb`.
    """
    return np.asarray(rgb(decode_picture(content)))


def rgb(picture: Image.Image) -> Image.Image:
    """A decoded picture in mode RGB, 8 bits a channel; one that is so already is not copied.

    Raises:
        Undecodable: nothing says what in it is white, see `as_rgb`.
    """
    try:
        return as_rgb(picture)
    except Unscalable as error:
        raise Undecodable(str(error)) from None


def decode_resized(content: bytes, height: int, width: int) -> np.ndarray:
    """`resize_image` of `decode_image`, from a JPEG decoded no larger than `MARGIN` times what is needed.

    docs/results/preprocess.md says by how many grey levels it differs from the full decode.

    Raises:
        Undecodable: see `decode_picture`.
    """
    picture = rgb(decode_picture(content, (math.ceil(MARGIN * height), math.ceil(MARGIN * width))))
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture)


def resize_image(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize uint8 (H, W, 3) to uint8 (height, width, 3), antialiased bilinear."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def resize_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize (H, W), uint8 or float32, to (height, width), nearest neighbour: nothing appears that was not there."""
    if mask.shape == (height, width):
        return mask
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
