from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadseg.contracts.framing import Framing

sides = st.integers(1, 300)
framings = st.builds(
    Framing,
    st.integers(1, 6).map(lambda number: 16 * number),
    st.integers(1, 6).map(lambda number: 16 * number),
    st.sampled_from(["stretch", "pad"]),
    st.integers(0, 4),
)


@given(framings, sides, sides)
def test_contents_cover_the_place_of_the_frame_once(framing: Framing, height: int, width: int) -> None:
    covered = np.zeros(framing.canvas, int)
    for tile in framing.tiles(height, width):
        y0, x0, y1, x1 = tile.content
        assert 0 <= y0 < y1 <= framing.height
        assert 0 <= x0 < x1 <= framing.width
        covered[tile.top + y0 : tile.top + y1, tile.left + x0 : tile.left + x1] += 1
    y0, x0, y1, x1 = framing.place(height, width)
    assert covered[y0:y1, x0:x1].min() == 1
    assert covered.sum() == (y1 - y0) * (x1 - x0)


@given(framings, sides, sides)
def test_sources_cover_the_frame_once(framing: Framing, height: int, width: int) -> None:
    covered = np.zeros((height, width), int)
    for tile in framing.tiles(height, width):
        y0, x0, y1, x1 = tile.source
        covered[y0:y1, x0:x1] += 1
    assert (covered == 1).all()


@given(framings, sides, sides)
def test_padding_keeps_the_aspect_to_a_pixel_and_stretching_fills(framing: Framing, height: int, width: int) -> None:
    y0, x0, y1, x1 = framing.place(height, width)
    tall, wide = framing.canvas
    if framing.aspect == "stretch":
        assert (y0, x0, y1, x1) == (0, 0, tall, wide)
        return
    scale = min(tall / height, wide / width)
    assert abs(y1 - y0 - height * scale) <= 1
    assert abs(x1 - x0 - width * scale) <= 1
    assert y1 - y0 == tall or x1 - x0 == wide
    assert abs(y0 - (tall - y1)) <= 1
    assert abs(x0 - (wide - x1)) <= 1


@given(framings, sides, sides, st.floats(1, 4), st.floats(0, 0.75))
def test_windows_cover_every_pixel_and_overlap_as_told(
    framing: Framing, height: int, width: int, zoom: float, overlap: float
) -> None:
    framing = replace(framing, zoom=zoom, overlap=overlap)
    covered = np.zeros(framing.canvas, int)
    for tile in framing.tiles(height, width):
        assert 0 <= tile.top <= framing.canvas[0] - framing.height
        assert 0 <= tile.left <= framing.canvas[1] - framing.width
        covered[tile.top : tile.top + framing.height, tile.left : tile.left + framing.width] += 1
    y0, x0, y1, x1 = framing.place(height, width)
    assert covered[y0:y1, x0:x1].min() >= 1
    for number, side in enumerate((framing.height, framing.width)):
        starts = sorted({corner[number] for corner in framing.corners})
        assert max(np.diff(starts), default=0) <= side * (1 - overlap)


@pytest.mark.parametrize(("zoom", "overlap", "windows"), [(1, 0.5, 1), (2, 0, 4), (2, 0.5, 9), (2.5, 0.5, 16)])
def test_there_are_no_more_windows_than_needed(zoom: float, overlap: float, windows: int) -> None:
    assert len(Framing(16, 32, zoom=zoom, overlap=overlap).corners) == windows


def test_the_window_is_no_rule_of_the_data() -> None:
    assert Framing(16, 32, "pad", 2, zoom=2.0, overlap=0.5).content == Framing(16, 32, "pad", 2).content


@given(framings)
def test_a_framing_is_read_as_it_was_written(framing: Framing) -> None:
    assert Framing.read(framing.content) == framing


def test_what_was_written_before_there_was_a_choice_was_stretched_whole() -> None:
    assert Framing.read({"height": 16, "width": 32}) == Framing(16, 32, "stretch", 0)
