import contextlib
import errno
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, PngImagePlugin

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import Interrupted
from roadseg.imaging import pixels
from roadseg.imaging.masks import read_classes
from roadseg.imaging.pixels import (
    MAX_PIXELS,
    Undecodable,
    decode_image,
    decode_picture,
    decode_resized,
    read_bytes,
    read_image,
    resize_image,
    resize_mask,
)

SIDES = st.integers(1, 40)


def noise(height: int = 24, width: int = 36) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def header_of_png(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds almost nothing."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    declared = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + declared + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=24)), SIDES, SIDES)
def test_a_resized_mask_holds_no_id_that_was_not_there(mask: np.ndarray, height: int, width: int) -> None:
    resized = resize_mask(mask, height, width)
    assert (resized.shape, resized.dtype) == ((height, width), np.uint8)
    assert set(np.unique(resized)) <= set(np.unique(mask))
    nearest = Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(resized, np.asarray(nearest))


def test_a_mask_that_grows_by_a_whole_factor_repeats_its_pixels() -> None:
    mask = np.array([[0, 6], [255, 3]], np.uint8)
    np.testing.assert_array_equal(resize_mask(mask, 6, 4), mask.repeat(3, 0).repeat(2, 1))


@settings(deadline=None)
@given(SIDES, SIDES, st.integers(0, 255))
def test_a_resized_image_of_one_colour_keeps_it(height: int, width: int, grey: int) -> None:
    resized = resize_image(np.full((9, 7, 3), grey, np.uint8), height, width)
    assert (resized.shape, resized.dtype) == ((height, width, 3), np.uint8)
    assert (resized == grey).all()


def test_a_shrunk_image_averages_so_that_fine_stripes_do_not_flicker() -> None:
    stripes = np.zeros((40, 40, 3), np.uint8)
    stripes[:, ::2] = 255
    assert abs(resize_image(stripes, 10, 10).astype(int) - 127).max() < 30


def test_the_same_size_leaves_every_pixel_as_it_is() -> None:
    np.testing.assert_array_equal(resize_image(noise(), 24, 36), noise())
    np.testing.assert_array_equal(resize_mask(noise()[..., 0], 24, 36), noise()[..., 0])


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1", "LA"])
def test_a_picture_of_any_mode_is_read_as_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.fromarray(np.full((5, 8, 3), 255, np.uint8)).convert(mode).save(path)
    image = read_image(path)
    assert (image.shape, image.dtype) == ((5, 8, 3), np.uint8)
    assert (image == 255).all()


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "webp"])
def test_a_picture_cut_anywhere_in_its_pixels_is_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    Image.fromarray(noise()).save(path)
    whole = path.read_bytes()
    for length in range(1, len(whole) - 30, 41):
        path.write_bytes(whole[:length])
        with pytest.raises(Undecodable, match=r"cannot be decoded|not a picture"):
            decode_picture(path.read_bytes())


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_bytes_give_pixels_or_a_refusal_and_no_other_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged.{data.draw(st.sampled_from(['png', 'jpg']))}"
    Image.fromarray(noise(8, 9)).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(Undecodable):
        assert read_image(path).ndim == 3


@pytest.mark.parametrize(
    ("content", "said"), [(None, "missing"), (b"", "not a picture"), (b"just text\n" * 50, "not a picture")]
)
def test_what_is_no_picture_is_refused_with_the_reason(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(Undecodable, match=f"a.png: .*{said}"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("reader", [read_image, lambda path: read_classes(path, ClassTable.find("road"))])
def test_every_error_names_the_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Callable[[Path], object]
) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(Undecodable) as missing:
        reader(path)
    path.write_bytes(b"no picture")
    with pytest.raises(Undecodable) as broken:
        reader(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", Mock(side_effect=OSError(errno.EIO, "Input/output error")))
        with pytest.raises(OSError, match="Input/output error") as failed:
            reader(path)
    for error in (missing, broken, failed):
        assert str(error.value).count(str(path)) == 1


def test_a_folder_in_the_place_of_a_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Undecodable, match="cannot be read: Is a directory"):
        read_bytes(tmp_path)


def test_a_file_of_no_picture_s_size_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "MAX_BYTES", 99)
    (tmp_path / "a.png").write_bytes(bytes(99))
    assert read_bytes(tmp_path / "a.png") == bytes(99)
    (tmp_path / "a.png").write_bytes(bytes(100))
    with pytest.raises(Undecodable, match="100 bytes are over 99"):
        read_bytes(tmp_path / "a.png")


@pytest.mark.parametrize(("width", "height"), [(100_000, 100_000), (12_000, 12_000), (MAX_PIXELS + 1, 1)])
def test_a_huge_declared_size_is_refused_before_a_pixel_is_allocated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int, height: int
) -> None:
    loaded: list[object] = []
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", loaded.append)
    (tmp_path / "bomb.png").write_bytes(header_of_png(width, height))
    with pytest.raises(Undecodable, match="pixels"):
        read_image(tmp_path / "bomb.png")
    assert not loaded


def test_a_stop_while_decoding_is_not_taken_for_a_broken_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_: object) -> None:
        raise Interrupted("stopped by SIGTERM")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", stopped)
    (tmp_path / "a.png").write_bytes(header_of_png(9, 9))
    with pytest.raises(Interrupted):
        read_image(tmp_path / "a.png")


def test_a_large_picture_within_the_limit_is_read_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(header_of_png(95_000_000, 1))  # Pillow's own limit warns at 89 million
    with pytest.raises(Undecodable, match=r"cannot be decoded: .*truncated"):
        read_image(tmp_path / "large.png")


def smooth(height: int, width: int) -> Image.Image:
    """A picture with structure at every scale, as a scene has it, and no two pixels alike."""
    rng = np.random.default_rng(3)
    picture = Image.fromarray(rng.integers(0, 256, (height // 60, width // 60, 3), np.uint8))
    grain = rng.normal(0, 4, (height, width, 3))
    enlarged = np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))
    return Image.fromarray(np.clip(enlarged + grain, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(("size", "scaled"), [((288, 512), (540, 960)), ((130, 130), (135, 240)), ((541, 8), None)])
def test_a_jpeg_is_decoded_no_smaller_than_asked_and_a_png_in_full(
    tmp_path: Path, size: tuple[int, int], scaled: tuple[int, int] | None
) -> None:
    picture = smooth(1080, 1920)
    picture.save(tmp_path / "frame.jpg", quality=90)
    picture.save(tmp_path / "frame.png", compress_level=1)
    assert decode_picture((tmp_path / "frame.jpg").read_bytes(), size).size[::-1] == (scaled or (1080, 1920))
    assert decode_picture((tmp_path / "frame.png").read_bytes(), size).size == (1920, 1080)


@pytest.mark.parametrize("size", [(288, 512), (128, 128), (80, 128)])
def test_scaled_decoding_stays_within_a_grey_level_of_the_full_decode_and_never_leaves_ten(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    smooth(1080, 1920).save(tmp_path / "frame.jpg", quality=90)
    full = resize_image(read_image(tmp_path / "frame.jpg"), *size).astype(int)
    apart = np.abs(full - decode_resized((tmp_path / "frame.jpg").read_bytes(), *size))
    assert 0 < apart.mean() < 1
    assert apart.max() <= 10


@pytest.mark.parametrize("size", [(48, 80), (64, 96)])
def test_scaled_decoding_of_the_sharpest_pictures_stays_within_three_grey_levels(
    scenes: Path, size: tuple[int, int]
) -> None:
    for path in sorted(scenes.rglob("*_image.jpg"))[:12]:  # of 320x227, as sharp as those of IDD Lite
        content = path.read_bytes()
        full = resize_image(decode_image(content), *size).astype(int)
        apart = np.abs(full - decode_resized(content, *size))
        assert 0 < apart.mean() < 3
        assert apart.max() <= 45


def test_a_truncated_jpeg_is_refused_at_any_scale(tmp_path: Path) -> None:
    smooth(1080, 1920).save(tmp_path / "frame.jpg")
    content = (tmp_path / "frame.jpg").read_bytes()
    with pytest.raises(Undecodable, match="truncated"):
        decode_picture(content[: len(content) // 2], (100, 100))
