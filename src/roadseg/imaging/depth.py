"""Grey of more than 8 bits: what in it is white, and how it becomes 8 bits."""

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

BITS, WHITE, INVERTED = "bits", "white", "inverted"  # in a picture's `info`, where a channel has over 8 bits
GREY_16 = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
BITS_PER_SAMPLE, PHOTOMETRIC, MAX_SAMPLE_VALUE, WHITE_IS_ZERO = 258, 262, 281, 0  # of TIFF
FULL = (1 << 16) - 1
REPEATED = 257  # a byte written twice: how 8 bits are widened to 16
UNUSED = 2  # upper bits; a picture of 16 bits that leaves so many free is darker than a quarter of white


class Unscalable(ValueError):
    """Nothing says what in a picture is white; the message says what to do, not the file."""


def note_depth(picture: Image.Image, content: bytes) -> None:
    """Keep in `info` what `as_rgb` must know and what is lost once the picture is loaded or turned.

    Args:
        picture: open, not loaded.
        content: its file.
    """
    if picture.format == "PNG" and content[24] == 16:  # the depth in the header, which is always the first chunk
        bits = _significant_bits(content)
        picture.info |= {BITS: 16, WHITE: (1 << bits) - 1}
    elif isinstance(picture, TiffImageFile):
        tags = picture.tag_v2
        bits = int(np.max(tags.get(BITS_PER_SAMPLE, 1)))
        if bits > 8:
            stated = int(np.max(tags.get(MAX_SAMPLE_VALUE, 0)))
            white = (1 << bits) - 1 if bits < 16 else stated
            picture.info |= {BITS: bits, WHITE: white, INVERTED: tags.get(PHOTOMETRIC) == WHITE_IS_ZERO}


def as_rgb(picture: Image.Image) -> Image.Image:
    """A loaded picture in mode RGB, 8 bits a channel.

    Grey of 16 bits is scaled by 65535, or by the largest value that the file states (sBIT of PNG, the bits or the
    largest sample of TIFF) where its values keep to it; float grey from 0 to 1.

    Raises:
        Unscalable: 16 bits of which the upper ones are unused and unexplained, so that it holds fewer; grey of other
            integers; float grey outside 0..1.
    """
    if picture.mode == "RGB" and BITS not in picture.info:
        return picture
    if picture.mode in GREY_16:
        return _of_16_bits(picture).convert("RGB")
    if picture.mode == "I":
        raise Unscalable(
            f"holds grey in integers of {picture.info.get(BITS, 32)} bits, of which nothing says what is white: save "
            "it with 8 bits"
        )
    if picture.mode == "F":
        return _of_float(picture).convert("RGB")
    rgb = picture.convert("RGB")
    if picture.info.get(BITS) == 16:  # Pillow has kept the upper byte of each channel
        _refuse_unused(max(int(high) for _, high in rgb.getextrema()) << 8)  # type: ignore[misc]
    return rgb


def _of_16_bits(picture: Image.Image) -> Image.Image:
    grey = np.asarray(picture)
    highest, white = int(grey.max(initial=0)), picture.info.get(WHITE)
    if not white or highest > white:
        white = FULL
        if (grey % REPEATED).any():
            _refuse_unused(highest)
    scaled = np.rint(grey * np.float32(255 / white)).astype(np.uint8)
    return Image.fromarray(255 - scaled if picture.info.get(INVERTED) else scaled)


def _of_float(picture: Image.Image) -> Image.Image:
    grey = np.asarray(picture)
    low, high = float(grey.min(initial=0)), float(grey.max(initial=0))
    if not (low >= 0 and high <= 1):  # NaN is neither
        raise Unscalable(
            f"holds float grey from {low:g} to {high:g}: 0 to 1 is black to white; save it so, or with 8 bits"
        )
    return Image.fromarray(np.rint(grey * 255).astype(np.uint8))


def _refuse_unused(highest: int) -> None:
    """Cameras of 10, 12 or 14 bits leave the upper bits of 16 empty; read by 65535 their frames are black."""
    if 0 < highest <= FULL >> UNUSED:
        raise Unscalable(
            f"has 16 bits a channel of which the upper ones are unused (no value over {highest}), so it holds fewer, "
            "and nothing in it says how many: save it with 8 bits, or scaled to 65535"
        )


def _significant_bits(content: bytes) -> int:
    """What the chunk sBIT of a PNG states for its first channel, 0 where there is none.

    Source: the PNG specification; a chunk is its length, name, content and checksum.
    """
    at = len(b"\x89PNG\r\n\x1a\n")
    while (name := content[at + 4 : at + 8]) not in {b"IDAT", b""}:
        if name == b"sBIT":
            return content[at + 8]
        at += 12 + int.from_bytes(content[at : at + 4])
    return 0
