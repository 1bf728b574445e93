"""A picture that says how it lies is read as viewers show it, in every format and at every door."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from roadseg.imaging.masks import decode_mask
from roadseg.imaging.orientation import TURNED, WAYS
from roadseg.imaging.pixels import decode_image, decode_picture, decode_resized, resize_image

COLOURS = np.zeros((48, 64, 3), np.uint8)
COLOURS[:24, :32], COLOURS[:24, 32:], COLOURS[24:, :32] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
FORMATS: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95}, "PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}}


def exif(orientation: object) -> Image.Exif:
    stated = Image.Exif()
    stated[274] = orientation
    return stated


def lying(pixels: np.ndarray, orientation: int, form: str = "PNG") -> bytes:
    """A file whose orientation makes viewers show `pixels`."""
    undo = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}.get(orientation, WAYS.get(orientation))
    stored, into = Image.fromarray(pixels), io.BytesIO()
    (stored if undo is None else stored.transpose(undo)).save(into, form, exif=exif(orientation), **FORMATS[form])
    return into.getvalue()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_read_as_viewers_show_it(form: str, orientation: int) -> None:
    content = lying(COLOURS, orientation, form)
    np.testing.assert_array_equal(
        np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content)))), decode_image(content)
    )
    assert np.abs(decode_image(content).astype(int) - COLOURS).mean() < 5
    assert decode_picture(content).info.get(TURNED) == (orientation if orientation > 1 else None)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_jpeg_that_is_decoded_smaller_is_turned_too(orientation: int) -> None:
    large = COLOURS.repeat(10, 0).repeat(10, 1)
    content = lying(large, orientation, "JPEG")
    assert decode_picture(content, (60, 80)).size == (80, 60)
    resized = decode_resized(content, 40, 60)
    assert resized.shape == (40, 60, 3)
    assert np.abs(resized.astype(int) - resize_image(large, 40, 60)).mean() < 5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_is_turned_too_and_keeps_its_ids(orientation: int) -> None:
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    content = lying(ids, orientation)
    np.testing.assert_array_equal(decode_mask(content), ids)
    np.testing.assert_array_equal(decode_mask(content, (6, 8)), ids.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("stated", [0, 9, 255])
def test_an_orientation_that_there_is_not_leaves_the_image_as_it_is(stated: int) -> None:
    into = io.BytesIO()
    Image.fromarray(COLOURS).save(into, "PNG", exif=exif(stated))
    np.testing.assert_array_equal(decode_image(into.getvalue()), COLOURS)


def test_broken_exif_leaves_the_image_as_it_is() -> None:
    into = io.BytesIO()
    Image.fromarray(COLOURS).save(into, "PNG", exif=b"Exif\0\0MM\0*\0\0\xff\xff broken")
    np.testing.assert_array_equal(decode_image(into.getvalue()), COLOURS)
