"""Grey of more than 8 bits keeps its look, or is refused where nothing says what is white."""

import io

import numpy as np
import pytest
from pictures import int16_tiff, png_of_16_bits, tiff
from PIL import Image

from roadseg.imaging.pixels import Undecodable, decode_image, decode_resized

GREY = np.linspace(0, 255, 48 * 64).reshape(48, 64).round().astype(np.uint8)
WIDE = np.linspace(0, 65535, 48 * 64).reshape(48, 64).astype(np.uint16)


def shown(content: bytes) -> np.ndarray:
    """Its grey at both doors of images."""
    image = decode_image(content)
    assert (image == image[..., :1]).all()
    np.testing.assert_array_equal(decode_resized(content, *image.shape[:2]), image)
    return image[..., 0]


@pytest.mark.parametrize("content", [png_of_16_bits(WIDE), tiff(WIDE), tiff(WIDE.astype(">u2"))])
def test_16_bits_are_scaled_by_65535(content: bytes) -> None:
    np.testing.assert_array_equal(shown(content), (WIDE / 257).round())


def test_a_byte_written_twice_is_that_byte_however_dark_the_image_is() -> None:
    dark = GREY // 8
    np.testing.assert_array_equal(shown(png_of_16_bits(dark.astype(np.uint16) * 257)), dark)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_fewer_bits_are_scaled_by_what_the_file_states_and_refused_where_it_states_nothing(bits: int) -> None:
    white = (1 << bits) - 1
    values = (GREY.astype(float) * white / 255).round().astype(np.uint16)
    np.testing.assert_array_equal(shown(png_of_16_bits(values, significant=bits)), GREY)
    np.testing.assert_array_equal(shown(tiff(values, t281=white)), GREY)
    for content in (png_of_16_bits(values), tiff(values)):
        with pytest.raises(Undecodable, match=rf"upper ones are unused \(no value over {white}\).* nothing in it says"):
            decode_image(content)


def test_bits_that_are_stated_and_scaled_up_as_the_specification_asks_are_not_scaled_again() -> None:
    np.testing.assert_array_equal(shown(png_of_16_bits(WIDE, significant=12)), (WIDE / 257).round())


def test_a_dark_image_that_states_16_bits_is_dark() -> None:
    assert shown(png_of_16_bits(WIDE // 20, significant=16)).max() == 13


def test_black_is_black_at_any_depth() -> None:
    assert not shown(png_of_16_bits(WIDE * 0)).any()


def test_a_tiff_in_which_zero_is_white_is_inverted() -> None:
    np.testing.assert_array_equal(shown(tiff(WIDE, t262=0)), 255 - (WIDE / 257).round())


def test_colours_of_16_bits_lose_their_lower_byte_and_those_of_12_bits_are_refused() -> None:
    colours = np.stack([WIDE, WIDE[::-1], WIDE // 2], -1)
    assert np.abs(decode_image(png_of_16_bits(colours)) - colours / 257).max() < 1
    with pytest.raises(Undecodable, match="has 16 bits a channel of which the upper ones are unused"):
        decode_image(png_of_16_bits(colours >> 4))


def test_floats_from_0_to_1_are_black_to_white() -> None:
    np.testing.assert_array_equal(shown(tiff((GREY / 255).astype(np.float32))), GREY)


@pytest.mark.parametrize("factor", [255, -1, np.nan])
def test_other_floats_are_refused(factor: float) -> None:
    with pytest.raises(Undecodable, match=r"holds float grey from .*: 0 to 1 is black to white"):
        decode_image(tiff((GREY / 255 * factor).astype(np.float32)))


@pytest.mark.parametrize(
    ("content", "bits"), [(int16_tiff(GREY), 16), (tiff(WIDE.astype(np.int32)), 32)], ids=["int16", "int32"]
)
def test_signed_and_longer_integers_are_refused(content: bytes, bits: int) -> None:
    with pytest.raises(Undecodable, match=f"grey in integers of {bits} bits, of which nothing says what is white"):
        decode_image(content)


@pytest.mark.parametrize("form", ["EPS", "GIF", "PPM", "ICO", "TGA", "PDF"])
def test_other_formats_are_no_pictures_whatever_their_names(form: str) -> None:
    into = io.BytesIO()
    Image.fromarray(GREY).convert("RGB").save(into, form)
    with pytest.raises(Undecodable, match="not a picture in a known format"):
        decode_image(into.getvalue())
