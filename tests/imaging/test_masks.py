from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pictures import int16_tiff, png_of_16_bits
from PIL import Image

from roadseg.contracts.classes import ClassTable
from roadseg.imaging.masks import (
    MAX_COLORS,
    colors_to_classes,
    decode_colors,
    decode_mask,
    read_classes,
    to_classes,
)
from roadseg.imaging.pixels import Undecodable
from roadseg.scoring.folders import read_guess

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
    np.testing.assert_array_equal(decode_mask((tmp_path / "a.png").read_bytes()), IDS)


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
    np.testing.assert_array_equal(decode_mask(path.read_bytes()), IDS)


def test_a_mask_of_single_bits_gives_zeros_and_ones(tmp_path: Path) -> None:
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    mask = decode_mask((tmp_path / "a.png").read_bytes())
    assert (mask.dtype, mask.tolist()) == (np.uint8, [[1, 0]])


def test_a_mask_of_sixteen_bits_gives_its_ids_where_they_fit(tmp_path: Path) -> None:
    Image.fromarray(IDS.astype(np.uint16)).save(tmp_path / "a.png")
    mask = decode_mask((tmp_path / "a.png").read_bytes())
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, IDS)


def saved(path: Path, picture: Image.Image, **options: Any) -> bytes:
    picture.save(path, **options)
    return path.read_bytes()


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "webp"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_equal_opaque_channels_are_one_channel_of_ids(tmp_path: Path, ending: str, mode: str) -> None:
    options = {"lossless": True} if ending == "webp" else {}
    content = saved(tmp_path / f"a.{ending}", Image.fromarray(IDS).convert(mode), **options)
    mask = decode_mask(content)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, IDS)
    np.testing.assert_array_equal(decode_mask(content, (4, 6)), IDS.repeat(2, 0).repeat(2, 1))


def test_grey_with_an_alpha_is_ids_where_all_of_it_is_opaque(tmp_path: Path) -> None:
    np.testing.assert_array_equal(decode_mask(saved(tmp_path / "a.png", Image.fromarray(IDS).convert("LA"))), IDS)
    for mode in ("LA", "RGBA"):
        picture = Image.fromarray(IDS).convert(mode)
        picture.putalpha(Image.fromarray(np.where(IDS == 6, np.uint8(254), np.uint8(255))))
        with pytest.raises(Undecodable, match="is transparent in places: a mask must be opaque"):
            decode_mask(saved(tmp_path / "a.png", picture))


@pytest.mark.parametrize("kind", [np.uint16, ">u2", np.int16, np.int32, np.float32, np.float64])
def test_whole_numbers_of_any_kind_in_a_tiff_are_ids(tmp_path: Path, kind: Any) -> None:
    if kind == np.float64:
        content = saved(tmp_path / "a.tif", Image.fromarray(IDS.astype(np.float32)))
    elif kind == np.int16:
        content = int16_tiff(IDS)
    else:
        content = saved(tmp_path / "a.tif", Image.fromarray(IDS.astype(kind)))
    mask = decode_mask(content)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, IDS)


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.5, "not whole"), (np.nan, "outside 0..255"), (256, "ids from 0 to 256"), (-1, "ids from -1 to 6, outside")],
)
def test_floats_that_are_no_ids_are_refused(tmp_path: Path, value: float, said: str) -> None:
    ids = np.array([[0, 6, value]], np.float32)
    with pytest.raises(Undecodable, match=said):
        decode_mask(saved(tmp_path / "a.tif", Image.fromarray(ids)))


def test_channels_of_16_bits_are_refused_since_their_lower_byte_is_lost() -> None:
    with pytest.raises(Undecodable, match="has mode RGB with 16 bits a channel: export ids as 8 bits grey"):
        decode_mask(png_of_16_bits(np.repeat(IDS[..., None], 3, -1).astype(np.uint16)))


@pytest.mark.parametrize(
    ("ids", "values", "classes"),
    [([0, 1, 255, 9], [(0,), (1,)], [0, 1, 255, 255]), ([0, 1, 255], [(0,), (1, 255)], [0, 1, 1])]
    + [([0, 1, 7, 8], [(7,), (8,)], [0, 1, 255, 255]), ([0, 1], [(1,), (0,)], [0, 1])],
)
def test_predictions_are_class_ids_whatever_labels_store(
    tmp_path: Path, ids: list[int], values: list[tuple[int, ...]], classes: list[int]
) -> None:
    entries = [{"id": n, "name": "ab"[n], "values": each, "color": [n, n, 9]} for n, each in enumerate(values)]
    path = tmp_path / "1_gtFine_labelIds.png"
    Image.fromarray(np.array([ids], np.uint8)).save(path)
    for source in ("id", "color"):
        table = ClassTable.model_validate({"name": "mine", "source": source, "classes": entries})
        assert read_guess(path, table)[0].tolist() == classes


@pytest.mark.parametrize(
    ("name", "ids"), [("a.png", np.array([[0, 355]], np.uint16)), ("a.tif", np.array([[-1, 3]], np.int32))]
)
def test_ids_that_do_not_fit_in_a_byte_are_refused_and_do_not_wrap(tmp_path: Path, name: str, ids: np.ndarray) -> None:
    Image.fromarray(ids).save(tmp_path / name)
    with pytest.raises(Undecodable, match=f"ids from {ids.min()} to {ids.max()}, outside 0..255"):
        decode_mask((tmp_path / name).read_bytes())


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK"])
def test_a_mask_of_colours_is_refused_with_its_mode(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.fromarray(np.stack([IDS, IDS, IDS // 2], -1)).convert(mode).save(path)
    with pytest.raises(Undecodable, match=f"has mode {mode}: a mask has one channel of class ids, not colours"):
        decode_mask(path.read_bytes())


def test_a_cut_mask_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 7, (50, 50), dtype=np.uint8)).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Undecodable, match="cannot be decoded"):
        decode_mask((tmp_path / "a.png").read_bytes())


@pytest.fixture(scope="module")
def colors() -> ClassTable:
    """Two classes and a void, by colours one step apart."""
    classes = [{"id": 0, "name": "a", "color": [128, 64, 128]}, {"id": 1, "name": "b", "color": [128, 64, 129]}]
    return ClassTable.model_validate(
        {"name": "mine", "source": "color", "void_colors": [[0, 0, 0]], "classes": classes}
    )


KNOWN = {(128, 64, 128): 0, (128, 64, 129): 1, (0, 0, 0): 255}
NEAR = st.sampled_from([*KNOWN, (128, 64, 127), (127, 64, 128), (128, 65, 128), (64, 128, 128), (0, 0, 1), (1, 0, 0)])


@given(pixels=st.lists(NEAR | st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=30))
def test_colours_are_decoded_exactly_and_every_other_one_is_reported(
    tmp_path_factory: pytest.TempPathFactory, colors: ClassTable, pixels: list[tuple[int, int, int]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "colors.png"
    Image.fromarray(np.array([pixels], np.uint8)).save(path)
    mask, outside = read_classes(path, colors)
    assert mask.dtype == np.uint8
    assert mask[0].tolist() == [KNOWN.get(pixel, 255) for pixel in pixels]
    unknown = {int.from_bytes(bytes(pixel)) for pixel in pixels if pixel not in KNOWN}
    assert outside == sorted(unknown)
    assert [int(colors.written(color)[1:], 16) for color in outside] == outside


@given(ids=arrays(np.uint8, (3, 9), elements=st.integers(0, 25)))
def test_the_palette_of_a_table_is_read_back_to_its_ids(
    tmp_path_factory: pytest.TempPathFactory, ids: np.ndarray
) -> None:
    table = ClassTable.model_validate(ClassTable.find("idd-level3").content | {"source": "color"})
    path = tmp_path_factory.getbasetemp() / "painted.png"
    Image.fromarray(table.palette[ids]).save(path)
    np.testing.assert_array_equal(read_classes(path, table)[0], ids)


def test_a_palette_mask_is_read_by_what_it_shows_where_colours_are_asked_for(
    tmp_path: Path, colors: ClassTable
) -> None:
    picture = Image.fromarray(np.array([[5, 7, 5]], np.uint8))
    picture.putpalette([0] * 15 + [128, 64, 129, 9, 9, 9, 128, 64, 128])
    picture.save(tmp_path / "a.png")
    assert read_classes(tmp_path / "a.png", colors)[0].tolist() == [[1, 0, 1]]


@pytest.mark.parametrize("alpha", [255, 254])
def test_colours_may_have_an_alpha_only_if_it_is_opaque(tmp_path: Path, colors: ClassTable, alpha: int) -> None:
    Image.fromarray(np.array([[[128, 64, 128, 255], [0, 0, 0, alpha]]], np.uint8)).save(tmp_path / "a.png")
    if alpha == 255:
        assert read_classes(tmp_path / "a.png", colors)[0].tolist() == [[0, 255]]
    else:
        with pytest.raises(Undecodable, match="is transparent in places"):
            read_classes(tmp_path / "a.png", colors)


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_a_mask_of_ids_is_refused_where_colours_are_asked_for(tmp_path: Path, colors: ClassTable, mode: str) -> None:
    Image.fromarray(IDS).convert(mode).save(tmp_path / "a.png")
    with pytest.raises(Undecodable, match=f"has mode {mode}: the class table says that masks hold colours"):
        decode_colors((tmp_path / "a.png").read_bytes())


def test_of_very_many_unknown_colours_the_first_are_reported(colors: ClassTable) -> None:
    packed = np.arange(1, 2 + MAX_COLORS, dtype=np.uint32)[None]
    mask, outside = colors_to_classes(packed, colors)
    assert outside == list(range(1, 1 + MAX_COLORS))
    assert (mask == 255).all()


@pytest.mark.parametrize("road", [1, 255])
def test_the_binary_set_is_read_right_whether_it_stores_ones_or_255(tmp_path: Path, road: int) -> None:
    Image.fromarray(np.array([[0, road, road]], np.uint8)).save(tmp_path / "a.png")
    mask, outside = read_classes(tmp_path / "a.png", ClassTable.find("road"))
    assert (mask.tolist(), outside) == ([[0, 1, 1]], [])


def test_values_say_what_a_mask_stores_for_a_class() -> None:
    classes = [{"id": 0, "name": "a", "values": [7, 8]}, {"id": 1, "name": "b", "values": [0]}]
    table = ClassTable.model_validate({"name": "mine", "void": 9, "classes": classes})
    mask, outside = to_classes(np.array([[7, 8, 0, 9, 255, 1]], np.uint8), table)
    assert (mask.tolist(), outside) == ([[0, 0, 1, 255, 255, 255]], [1])
