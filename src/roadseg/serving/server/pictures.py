"""From a request's bytes to pixels, and from a mask to an answer's bytes."""

import io
import warnings
from typing import Any, Literal

import numpy as np
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.imaging.pixels import Undecodable, decode_image
from roadseg.serving.server.limits import Limits
from roadseg.serving.server.refusal import Refusal

Kind = Literal["png", "json", "jpeg", "npy"]
TYPES: dict[Kind, str] = {
    "png": "image/png",
    "json": "application/json",
    "jpeg": "image/jpeg",
    "npy": "application/x-npy",
}
FORMATS = ("JPEG", "PNG", "WEBP")
STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")
SEND = "send the bytes of a JPEG, PNG or WebP file as the request's body"
OPACITY, QUALITY = 0.5, 90  # of an overlay
FEW = 16  # classes that fit into four bits a pixel


def decode(content: bytes, kind: Kind, classes: int, limits: Limits) -> np.ndarray:
    """Decode a picture to uint8 (H, W, 3), when its header says that it is within bounds.

    Raises:
        Refusal: 415 in another format, 413 too large, 422 broken.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow warns of is refused below
            picture = Image.open(io.BytesIO(content), formats=FORMATS)  # reads the header alone
    except MemoryError:
        raise
    except Image.DecompressionBombError:
        raise _too_large("the picture", limits) from None
    except Exception as error:  # on hostile bytes Pillow raises anything
        if not content.startswith(STARTS):
            raise Refusal(415, "the body is no JPEG, PNG or WebP picture", SEND) from None
        raise _broken(error) from None
    width, height = picture.size
    if (pixels := width * height) > limits.pixels:
        raise _too_large(f"{width}x{height}", limits)
    if kind == "npy" and 2 * classes * pixels > limits.answer:
        most = limits.answer // (2 * classes)
        raise Refusal(
            413, f"probabilities of {width}x{height} are over {limits.answer} bytes", f"send at most {most} pixels"
        )
    try:
        return decode_image(content)
    except Undecodable as error:
        raise _broken(error) from None


def _too_large(what: str, limits: Limits) -> Refusal:
    return Refusal(
        413, f"{what} is over {limits.pixels} pixels", "send it smaller, or have the server started with --max-pixels"
    )


def _broken(error: Exception) -> Refusal:
    return Refusal(422, f"the picture is broken: {str(error)[:200]}", "send the whole file as it is")


def mask_png(ids: np.ndarray, classes: ClassTable) -> bytes:
    """A mask as PNG, whose palette shows the classes' colours: indices are class ids.

    Args:
        ids: uint8 (H, W).
        classes: gives the colours.
    """
    picture = Image.fromarray(ids)
    picture.putpalette(classes.palette.tobytes())
    # the cheapest compression: a tenth of the time of the usual one, for files half as large again
    bits = {"bits": 4} if classes.count <= FEW else {}
    return _saved(picture, "PNG", compress_level=1, **bits)


def opened_mask(content: bytes) -> np.ndarray:
    """Ids uint8 (H, W) of what `mask_png` made."""
    return np.asarray(Image.open(io.BytesIO(content), formats=["PNG"]))


def overlay_jpeg(image: np.ndarray, ids: np.ndarray, classes: ClassTable) -> bytes:
    """The coloured mask laid over the image uint8 (H, W, 3)."""
    colours = Image.fromarray(classes.palette[ids])
    return _saved(Image.blend(Image.fromarray(image), colours, OPACITY), "JPEG", quality=QUALITY)


def probabilities_npy(probabilities: np.ndarray) -> bytes:
    """Probabilities (H, W, K) as NumPy's file of float16 (K, H, W)."""
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(probabilities.transpose(2, 0, 1), np.float16))
    return stream.getvalue()


def mask_summary(counts: list[int], confidence: list[float | None], classes: ClassTable) -> dict[str, Any]:
    """Shares and confidence by class, 0..1; a class that occurs nowhere has no confidence."""
    total = sum(counts)
    return {
        "shares": {name: count / total for name, count in zip(classes.names, counts, strict=True)},
        "confidence": {name: sure for name, sure in zip(classes.names, confidence, strict=True) if sure is not None},
    }


def count_pixels(ids: np.ndarray, classes: int) -> list[int]:
    """Pixels by class."""
    return Image.fromarray(ids).histogram()[:classes]  # at half the time of NumPy's bincount


def by_class(values: np.ndarray, ids: np.ndarray, counts: list[int]) -> list[float | None]:
    """Mean of float32 (H, W) over the pixels of each class; None where there are none."""
    sums = np.bincount(ids.ravel(), values.ravel(), len(counts))
    return [float(total / number) if number else None for total, number in zip(sums, counts, strict=True)]


def _saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()
