"""How a frame of any size becomes tiles of the working size, and where each tile came from."""

from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

Box = tuple[int, int, int, int]  # y0, x0, y1, x1, pixels; the ends are not included
Aspect = Literal["stretch", "pad"]


@dataclass(frozen=True)
class Tile:
    """One tile of a frame.

    Attributes:
        source: the part of the frame it shows, in the frame's own pixels.
        content: where that part lies in the tile; the rest is padding.
        top, left: its place in the canvas, pixels.
    """

    source: Box
    content: Box
    top: int
    left: int


@dataclass(frozen=True)
class Framing:
    """The rule by which frames become tiles; training and prediction share it.

    A frame is scaled to a canvas of `grid` x `grid` tiles and cut; tiles that would hold padding only are left out.
    Prediction may enlarge the canvas and let the tiles overlap: then they are a sliding window's places.

    Attributes:
        height, width: size of a tile, pixels.
        aspect: stretch fills the canvas; pad keeps the frame's aspect and centres it.
        tile: 0 for the whole frame in one tile, else the tiles on either side of the canvas.
        zoom: how much larger the canvas is than its tiles, 1 or more; more tiles of the same size then cover it.
        overlap: share of its side that a tile has in common with the next at least, 0 up to 1.
    """

    height: int
    width: int
    aspect: Aspect = "stretch"
    tile: int = 0
    zoom: float = 1.0
    overlap: float = 0.0

    @classmethod
    def read(cls, content: dict[str, Any]) -> "Framing":
        """From shards.json or a card; those of before there was a choice were stretched whole."""
        return cls(content["height"], content["width"], content.get("aspect", "stretch"), content.get("tile", 0))

    @property
    def content(self) -> dict[str, Any]:
        """What `read` reads; neither zoom nor overlap, which are no rule of the data."""
        return {"height": self.height, "width": self.width, "aspect": self.aspect, "tile": self.tile}

    @property
    def grid(self) -> int:
        """Tiles on either side of the canvas before zoom and overlap."""
        return max(1, self.tile)

    @property
    def canvas(self) -> tuple[int, int]:
        """Height and width of all tiles together, pixels."""
        return round(self.zoom * self.grid * self.height), round(self.zoom * self.grid * self.width)

    @property
    def corners(self) -> list[tuple[int, int]]:
        """Top and left in the canvas of every place for a tile, row by row."""
        tall, wide = self.canvas
        return list(product(_starts(tall, self.height, self.overlap), _starts(wide, self.width, self.overlap)))

    def place(self, height: int, width: int) -> Box:
        """Where in the canvas a frame of this size lies."""
        tall, wide = self.canvas
        if self.aspect == "stretch":
            return 0, 0, tall, wide
        scale = min(tall / height, wide / width)
        fitted = min(tall, max(1, round(height * scale))), min(wide, max(1, round(width * scale)))
        top, left = (tall - fitted[0]) // 2, (wide - fitted[1]) // 2
        return top, left, top + fitted[0], left + fitted[1]

    def tiles(self, height: int, width: int) -> list[Tile]:
        """The tiles of a frame of this size, row by row."""
        y0, x0, y1, x1 = self.place(height, width)
        down, across = height / (y1 - y0), width / (x1 - x0)
        found = []
        for top, left in self.corners:
            above, below = max(y0, top), min(y1, top + self.height)
            before, after = max(x0, left), min(x1, left + self.width)
            if above < below and before < after:
                content = (above - top, before - left, below - top, after - left)
                ends = ((above - y0) * down, (before - x0) * across, (below - y0) * down, (after - x0) * across)
                found.append(Tile(_rounded(ends), content, top, left))
        return found


def _starts(length: int, side: int, overlap: float) -> list[int]:
    """Where the fewest tiles of a side start that cover a length, evenly spread, and overlap by that share at least."""
    step = max(1, int(side * (1 - overlap)))
    gaps = -(-(length - side) // step)
    return [number * (length - side) // gaps for number in range(gaps + 1)] if gaps else [0]


def _rounded(ends: tuple[float, float, float, float]) -> Box:
    y0, x0, y1, x1 = (round(end) for end in ends)
    return y0, x0, y1, x1
