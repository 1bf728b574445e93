"""Masks decoded at another size hold what the nearest pixel of the whole mask holds, however they are stored."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.imaging.masks import decode_classes

SIDES = st.integers(1, 40)
STORED = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=24), elements=st.integers(0, 6))
PALETTE = list(range(256)) * 3
HOW = {
    "L": Image.fromarray,
    "I;16": lambda ids: Image.fromarray(ids.astype(np.uint16)),
    "I": lambda ids: Image.fromarray(ids.astype(np.int32)),
    "1": lambda ids: Image.fromarray(ids > 2),
}


def assert_nearest(resized: np.ndarray, whole: np.ndarray) -> None:
    """Each pixel is the one under its centre, by the definition in whole numbers; between two it is either."""
    doubled = [(2 * np.arange(new) + 1) * old for old, new in zip(whole.shape, resized.shape, strict=True)]
    sides = [
        (places // (2 * new), (places - 1) // (2 * new)) for places, new in zip(doubled, resized.shape, strict=True)
    ]
    assert np.any([resized == whole[rows][:, columns] for rows in sides[0] for columns in sides[1]], axis=0).all()


def png(picture: Image.Image) -> bytes:
    written = io.BytesIO()
    picture.save(written, "TIFF" if picture.mode == "I" else "PNG")
    return written.getvalue()


def palette(ids: np.ndarray) -> Image.Image:
    picture = Image.fromarray(ids)
    picture.putpalette(PALETTE)
    return picture


@pytest.mark.parametrize("mode", [*HOW, "P"])
@given(stored=STORED, height=SIDES, width=SIDES)
def test_plain_ids_in_any_mode(mode: str, stored: np.ndarray, height: int, width: int) -> None:
    table = ClassTable.find("idd-level1")
    content = png(palette(stored) if mode == "P" else HOW[mode](stored))
    mask, outside = decode_classes(content, "a.png", table, (height, width))
    expected = (stored > 2).astype(np.uint8) if mode == "1" else stored
    assert (mask.dtype, mask.shape, outside) == (np.uint8, (height, width), [])
    assert_nearest(mask, expected)


@pytest.mark.parametrize("coding", ["labelids", "labellevel3Ids", "labellevel1Ids"])
@given(stored=STORED, height=SIDES, width=SIDES)
def test_the_ids_of_idd_by_level(coding: str, stored: np.ndarray, height: int, width: int) -> None:
    table, content, name = ClassTable.find("idd-level1"), png(Image.fromarray(stored)), f"a_gtFine_{coding}.png"
    whole, _ = decode_classes(content, name, table)
    mask, _ = decode_classes(content, name, table, (height, width))
    assert mask.shape == (height, width)
    assert_nearest(mask, whole)


@given(stored=STORED, height=SIDES, width=SIDES)
def test_colours(stored: np.ndarray, height: int, width: int) -> None:
    table = ClassTable.model_validate(ClassTable.find("idd-level1").content | {"source": "color"})
    mask, outside = decode_classes(png(Image.fromarray(table.palette[stored])), "a.png", table, (height, width))
    assert (mask.shape, outside) == ((height, width), [])
    assert_nearest(mask, stored)
