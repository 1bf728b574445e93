from collections.abc import Iterator
from weakref import WeakSet

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadseg.contracts.framing import Framing
from roadseg.imaging.tiles import cut, join

framings = st.builds(
    Framing,
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from(["stretch", "pad"]),
    st.integers(0, 3),
    st.floats(1, 3),
    st.floats(0, 0.75),
)


@given(framings, st.integers(1, 40), st.integers(1, 40), st.sampled_from([(), (3,)]))
def test_what_is_cut_and_joined_comes_back(
    framing: Framing, height: int, width: int, channels: tuple[int, ...]
) -> None:
    y0, x0, y1, x1 = framing.place(height, width)
    scaled = np.random.default_rng(0).integers(0, 256, (y1 - y0, x1 - x0, *channels), np.uint8)
    tiles = cut(scaled, framing, height, width, padding=7)
    assert tiles.shape[1:] == (framing.height, framing.width, *channels)
    np.testing.assert_array_equal(join(tiles.astype(np.float32), framing, height, width), scaled)


def test_where_tiles_overlap_is_their_mean() -> None:
    framing = Framing(1, 4, zoom=1.5, overlap=0.5)
    tiles = np.array([[[1, 2, 3, 4]], [[5, 6, 7, 8]]] * 2, np.float32)
    np.testing.assert_array_equal(join(tiles, framing, 2, 12), [[1, 2, 4, 5, 7, 8], [1, 2, 4, 5, 7, 8]])


def test_tiles_are_taken_one_by_one() -> None:
    framing, alive = Framing(8, 8, zoom=4, overlap=0.75), WeakSet[Held]()

    def stream() -> Iterator[np.ndarray]:
        for _ in framing.tiles(32, 32):
            tile = np.ones((8, 8)).view(Held)
            alive.add(tile)
            assert len(alive) <= 3  # the first, the one before and this
            yield tile

    assert (join(stream(), framing, 32, 32) == 1).all()


class Held(np.ndarray):
    """An array that a set can hold weakly."""

    __hash__ = object.__hash__


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
