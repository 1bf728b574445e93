import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from roadseg.contracts.classes import ClassTable
from roadseg.pages.draw import colourise, contact_sheet, overlay

IMAGES, MASKS = arrays(np.uint8, (4, 5, 3)), arrays(np.uint8, (4, 5), elements=st.integers(0, 9) | st.just(255))


def test_a_mask_is_painted_in_the_colours_of_the_table_and_void_in_black(idd_level1: ClassTable) -> None:
    painted = colourise(np.array([[0, 2, 6, 7, 255]], np.uint8), idd_level1)
    assert painted.dtype == np.uint8
    assert painted[0].tolist() == [[128, 64, 128], [220, 20, 60], [70, 130, 180], [0, 0, 0], [0, 0, 0]]


@given(image=IMAGES, mask=MASKS, opacity=st.floats(0, 1))
def test_an_overlay_leaves_the_image_under_void_as_it_is(
    image: np.ndarray, mask: np.ndarray, opacity: float, idd_level1: ClassTable
) -> None:
    laid = overlay(image, mask, idd_level1, opacity)
    assert (laid.shape, laid.dtype) == (image.shape, np.uint8)
    np.testing.assert_array_equal(laid[mask >= 7], image[mask >= 7])


@given(image=IMAGES, mask=MASKS)
def test_opacity_goes_from_the_image_to_the_colours(
    image: np.ndarray, mask: np.ndarray, idd_level1: ClassTable
) -> None:
    np.testing.assert_array_equal(overlay(image, mask, idd_level1, 0), image)
    known = mask < 7
    np.testing.assert_array_equal(overlay(image, mask, idd_level1, 1)[known], colourise(mask, idd_level1)[known])


@given(image=IMAGES, mask=MASKS)
def test_an_overlay_lies_half_way_between_image_and_colour(
    image: np.ndarray, mask: np.ndarray, idd_level1: ClassTable
) -> None:
    known = mask < 7
    middle = (image.astype(float) + colourise(mask, idd_level1)) / 2
    assert (np.abs(overlay(image, mask, idd_level1) - middle)[known] <= 0.5).all()


def test_overlay_does_not_write_into_what_it_was_given(idd_level1: ClassTable) -> None:
    image, mask = np.full((4, 5, 3), 9, np.uint8), np.zeros((4, 5), np.uint8)
    overlay(image, mask, idd_level1)[:] = 0
    assert (image == 9).all()


@pytest.mark.parametrize(
    ("rows", "columns", "size"),
    [(2, 3, (400, 234)), (1, 3, (400, 166)), (2, 1, (136, 288))],  # 132x68 a picture, 7 classes in the legend
)
def test_a_contact_sheet_has_room_for_its_pictures_titles_and_legend(
    idd_level1: ClassTable, rows: int, columns: int, size: tuple[int, int]
) -> None:
    pictures = [[np.zeros((64, 128, 3), np.uint8)] * columns] * rows
    sheet = contact_sheet(pictures, [f"column {number}" for number in range(columns)], idd_level1)
    assert (sheet.mode, sheet.size) == ("RGB", size)


def test_every_picture_and_every_colour_is_on_the_sheet(idd_level1: ClassTable) -> None:
    shades = (10, 60, 110, 160, 210, 250)
    pictures = [[np.full((30, 160, 3), shade, np.uint8) for shade in row] for row in (shades[:3], shades[3:])]
    sheet = np.asarray(contact_sheet(pictures, ["a", "b", "c"], idd_level1))
    for shade in shades:
        assert (sheet == shade).all(-1).sum() >= 30 * 160
    for entry in idd_level1.classes:
        assert (sheet == entry.color).all(-1).sum() > 100, entry.name
