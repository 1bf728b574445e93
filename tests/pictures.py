"""Pictures that Pillow reads and does not write."""

import io
import struct
import zlib

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2


def png_of_16_bits(pixels: np.ndarray, significant: int | None = None) -> bytes:
    """A PNG of uint16 (H, W) or (H, W, 3), with a chunk sBIT where `significant` is given."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width, *channels = pixels.shape
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2 if channels else 0, 0, 0, 0))
    stated = chunk(b"sBIT", bytes([significant] * (3 if channels else 1))) if significant else b""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    end = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"gAMA", struct.pack(">I", 45455)) + stated + end


def tiff(pixels: np.ndarray, **tags: int) -> bytes:
    """A TIFF of one channel with tags by number, as `t281=4095`."""
    directory, into = ImageFileDirectory_v2(), io.BytesIO()
    for name, value in tags.items():
        directory[int(name[1:])] = value
    Image.fromarray(pixels).save(into, "TIFF", tiffinfo=directory)
    return into.getvalue()


def int16_tiff(pixels: np.ndarray) -> bytes:
    """A TIFF of signed integers of 16 bits: one of unsigned ones whose tag 339, sample format, says otherwise."""
    content, unsigned = tiff(pixels.astype(np.uint16), t339=1), struct.pack("<HHIHH", 339, 3, 1, 1, 0)
    assert content.count(unsigned) == 1
    return content.replace(unsigned, struct.pack("<HHIHH", 339, 3, 1, 2, 0))
