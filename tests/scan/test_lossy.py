"""Masks that went through a lossy coding are refused, whatever their names; lossless ones pass."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.scan.statistics import mask_facts

IDS = ClassTable.find("idd-level1")
COLOURS = ClassTable.model_validate(IDS.content | {"source": "color"})
STRIPES = np.repeat(np.arange(7, dtype=np.uint8), 8).repeat(32).reshape(56, 32)


def plain() -> Image.Image:
    return Image.fromarray(STRIPES)


def painted(mode: str = "RGB") -> Image.Image:
    return Image.fromarray(COLOURS.palette[STRIPES]).convert(mode)


def saved(picture: Image.Image, format_: str, **options: Any) -> bytes:
    into = io.BytesIO()
    picture.save(into, format_, **options)
    return into.getvalue()


def transparent_webp(lossless: bool) -> bytes:
    """One whose header says that chunks follow, as alpha needs it."""
    picture = painted("RGBA")
    picture.putpixel((0, 0), (0, 0, 0, 0))
    content = saved(picture, "WEBP", lossless=lossless)
    assert lossless or content[12:16] == b"VP8X"
    return content


def moving_webp(lossless: bool) -> bytes:
    return saved(painted(), "WEBP", lossless=lossless, save_all=True, append_images=[painted().rotate(180)])


def tiff_that_says(compression: int) -> bytes:
    """A TIFF with its compression, tag 259, set to one that Pillow here does not write."""
    content, raw = saved(plain(), "TIFF"), struct.pack("<HHII", 259, 3, 1, 1)
    assert content.count(raw) == 1
    return content.replace(raw, struct.pack("<HHII", 259, 3, 1, compression))


LOSSY = {
    "jpeg.png": (saved(plain(), "JPEG", quality=100), "a JPEG"),
    "jpeg of colours.bmp": (saved(painted(), "JPEG", quality=100), "a JPEG"),
    "mpo.png": (saved(plain(), "MPO", save_all=True, append_images=[plain()]), "a JPEG"),
    "jpeg2000.png": (saved(plain(), "JPEG2000", irreversible=True, quality_layers=[20]), "a JPEG 2000"),
    "codestream.png": (saved(plain(), "JPEG2000", irreversible=True, no_jp2=True), "a JPEG 2000"),
    "avif.png": (saved(plain(), "AVIF"), "an AVIF"),
    "jpeg.tif": (saved(plain(), "TIFF", compression="jpeg"), "a TIFF of JPEG"),
    "old jpeg.tif": (tiff_that_says(6), "a TIFF of JPEG"),
    "webp.tiff": (tiff_that_says(50001), "a TIFF of WebP"),
    "lossy.webp": (saved(painted(), "WEBP"), "a lossy WebP"),
    "transparent.webp": (transparent_webp(lossless=False), "a lossy WebP"),
    "moving.WEBP": (moving_webp(lossless=False), "a lossy WebP"),
}
LOSSLESS = {
    "mask.png": (saved(plain(), "PNG"), IDS),
    "mask.bmp": (saved(plain(), "BMP"), IDS),
    "raw.tif": (saved(plain(), "TIFF"), IDS),
    "lzw.tif": (saved(plain(), "TIFF", compression="tiff_lzw"), IDS),
    "deflate.tiff": (saved(plain(), "TIFF", compression="tiff_deflate"), IDS),
    "mask.webp": (saved(painted(), "WEBP", lossless=True), COLOURS),
    "annotated.webp": (saved(painted(), "WEBP", lossless=True, exif=b"Exif\0\0VP8 VP8 "), COLOURS),
    "moving.webp": (moving_webp(lossless=True), COLOURS),
}


def facts(folder: Path, name: str, content: bytes, table: ClassTable) -> dict[str, Any]:
    (folder / name).write_bytes(content)
    return mask_facts(folder / name, table)


@pytest.mark.parametrize("table", [IDS, COLOURS], ids=["ids", "colours"])
@pytest.mark.parametrize("name", LOSSY)
def test_a_lossy_mask_is_refused_by_what_is_in_it(tmp_path: Path, name: str, table: ClassTable) -> None:
    content, coding = LOSSY[name]
    said = f"is {coding} whatever its name: that can change class ids at every edge; export it as PNG"
    found = facts(tmp_path, name, content, table)
    assert found.keys() == {"mask_sha", "error"}
    assert found["error"] == said


@pytest.mark.parametrize("name", LOSSLESS)
def test_a_lossless_mask_is_read_exactly(tmp_path: Path, name: str) -> None:
    found = facts(tmp_path, name, *LOSSLESS[name])
    assert "error" not in found
    assert found["class_pixels"] == [256] * 7 + [0]
    assert found["invalid_ids"] == []


def test_a_jpeg_by_its_name_is_left_to_the_expectation_on_names(tmp_path: Path) -> None:
    assert "error" not in facts(tmp_path, "mask.JPG", LOSSY["jpeg.png"][0], IDS)


@pytest.mark.parametrize("content", [b"", b"RIFF\0\0\0\0WEBPVP8 ", b"II*\0", b"\0\0\0\x0cjP  \r\n\x87\n"])
def test_what_is_no_picture_is_called_so_and_not_lossy(tmp_path: Path, content: bytes) -> None:
    assert "whatever its name" not in facts(tmp_path, "mask.png", content, IDS)["error"]
