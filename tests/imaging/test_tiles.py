import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadseg.contracts.framing import Framing
from roadseg.imaging.tiles import cut, join

framings = st.builds(
    Framing, st.integers(1, 9), st.integers(1, 9), st.sampled_from(["stretch", "pad"]), st.integers(0, 3)
)


@given(framings, st.integers(1, 40), st.integers(1, 40), st.sampled_from([(), (3,)]))
def test_what_is_cut_and_joined_comes_back(
    framing: Framing, height: int, width: int, channels: tuple[int, ...]
) -> None:
    y0, x0, y1, x1 = framing.place(height, width)
    scaled = np.random.default_rng(0).integers(0, 256, (y1 - y0, x1 - x0, *channels), np.uint8)
    tiles = cut(scaled, framing, height, width, padding=7)
    assert tiles.shape[1:] == (framing.height, framing.width, *channels)
    np.testing.assert_array_equal(join(tiles, framing, height, width), scaled)


@pytest.mark.parametrize("padding", [0, 255])
def test_outside_the_content_is_padding(padding: int) -> None:
    framing = Framing(8, 8, "pad", 2)
    tiles = cut(np.full((4, 16), 9, np.uint8), framing, 10, 40, padding)
    for part, tile in zip(tiles, framing.tiles(10, 40), strict=True):
        y0, x0, y1, x1 = tile.content
        inside = np.zeros(part.shape, bool)
        inside[y0:y1, x0:x1] = True
        assert set(part[inside]) == {9}
        assert set(part[~inside]) == {padding}
