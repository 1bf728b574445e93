from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.imaging.masks import read_mask, to_classes
from roadseg.imaging.pixels import Undecodable

IDS = np.array([[0, 1, 6], [255, 2, 3]], np.uint8)


@pytest.fixture(scope="module")
def table() -> ClassTable:
    """Three classes; 9 and 255 are void."""
    classes = [{"id": number, "name": name} for number, name in enumerate("abc")]
    return ClassTable.model_validate({"name": "mine", "void": 9, "classes": classes})


@given(stored=arrays(np.uint8, (5, 7)))
def test_ids_become_classes_or_void_and_what_is_neither_is_reported(stored: np.ndarray, table: ClassTable) -> None:
    mask, outside = to_classes(stored, table)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, np.where(stored < 3, stored, 255))
    assert outside == sorted(set(stored.ravel().tolist()) - {0, 1, 2, 9, 255})


def test_void_ids_of_the_table_are_not_reported(table: ClassTable) -> None:
    mask, outside = to_classes(np.array([[2, 9, 255]], np.uint8), table)
    assert mask.tolist() == [[2, 255, 255]]
    assert outside == []


def test_every_id_outside_is_reported_once_in_order(table: ClassTable) -> None:
    assert to_classes(np.array([[14, 3, 14, 0, 254]], np.uint8), table)[1] == [3, 14, 254]


def test_a_grey_mask_gives_its_ids(tmp_path: Path) -> None:
    Image.fromarray(IDS).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png"), IDS)


@given(shift=st.integers(0, 255))
def test_a_palette_mask_gives_its_indexes_whatever_it_is_painted_with(
    tmp_path_factory: pytest.TempPathFactory, shift: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "palette.png"
    picture = Image.fromarray(IDS)
    picture.putpalette([(channel * 7 + shift) % 256 for channel in range(768)])
    picture.save(path)
    with Image.open(path) as saved:
        assert saved.mode == "P"
    np.testing.assert_array_equal(read_mask(path), IDS)


def test_a_mask_of_single_bits_gives_zeros_and_ones(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    mask = read_mask(tmp_path / "a.png")
    assert (mask.dtype, mask.tolist()) == (np.uint8, [[1, 0]])


def test_a_mask_of_sixteen_bits_gives_its_ids_where_they_fit(tmp_path: Path) -> None:
    Image.fromarray(IDS.astype(np.uint16)).save(tmp_path / "a.png")
    mask = read_mask(tmp_path / "a.png")
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, IDS)


@pytest.mark.parametrize(
    ("name", "ids"), [("a.png", np.array([[0, 355]], np.uint16)), ("a.tif", np.array([[-1, 3]], np.int32))]
)
def test_ids_that_do_not_fit_in_a_byte_are_refused_and_do_not_wrap(tmp_path: Path, name: str, ids: np.ndarray) -> None:
    Image.fromarray(ids).save(tmp_path / name)
    with pytest.raises(Undecodable, match=f"ids from {ids.min()} to {ids.max()}, outside 0..255"):
        read_mask(tmp_path / name)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "CMYK", "F"])
def test_a_mask_of_colours_is_refused_with_its_mode(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode in {"CMYK", "F"} else "a.png")
    Image.fromarray(IDS).convert(mode).save(path)
    with pytest.raises(Undecodable, match=f"has mode {mode}: a mask has one channel of class ids, not colours"):
        read_mask(path)


def test_a_cut_mask_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 7, (50, 50), dtype=np.uint8)).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Undecodable, match="cannot be decoded"):
        read_mask(tmp_path / "a.png")
