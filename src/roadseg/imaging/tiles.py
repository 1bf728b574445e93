"""Cut a scaled frame into tiles, and put tiles together again."""

from collections.abc import Iterable
from itertools import chain

import numpy as np

from roadseg.contracts.framing import Framing


def cut(scaled: np.ndarray, framing: Framing, height: int, width: int, padding: int) -> np.ndarray:
    """Cut one frame.

    Args:
        scaled: (h, w, ...), the frame at the size of `framing.place(height, width)`.
        framing: the rule.
        height, width: the frame's own size, pixels.
        padding: value outside the content.

    Returns:
        (T, H, W, ...), a tile per entry of `framing.tiles(height, width)`.
    """
    y0, x0, y1, x1 = framing.place(height, width)
    canvas = scaled
    if scaled.shape[:2] != framing.canvas:
        canvas = np.full((*framing.canvas, *scaled.shape[2:]), padding, scaled.dtype)
        canvas[y0:y1, x0:x1] = scaled
    if framing.canvas == (framing.height, framing.width):
        return canvas[None]
    return np.stack(
        [
            canvas[tile.top : tile.top + framing.height, tile.left : tile.left + framing.width]
            for tile in framing.tiles(height, width)
        ]
    )


def join(tiles: Iterable[np.ndarray], framing: Framing, height: int, width: int) -> np.ndarray:
    """Put the tiles of one frame together without the padding, their mean where they overlap.

    Args:
        tiles: float (H, W, ...) each, in the order of `framing.tiles(height, width)`; taken one by one, so that no
            more of them than the caller holds are in memory.
        framing: the rule.
        height, width: the frame's own size, pixels.

    Returns:
        (h, w, ...), the size of `framing.place(height, width)`.

    Source of the mean: slide_inference of MMSegmentation, github.com/open-mmlab/mmsegmentation.
    """
    y0, x0, y1, x1 = framing.place(height, width)
    if framing.canvas == (framing.height, framing.width):
        [only] = tiles
        return only[y0:y1, x0:x1]
    stream = iter(tiles)
    first = next(stream)
    canvas = np.zeros((*framing.canvas, *first.shape[2:]), first.dtype)
    cover = np.zeros(framing.canvas, np.uint16)
    for part, tile in zip(chain([first], stream), framing.tiles(height, width), strict=True):
        here = slice(tile.top, tile.top + framing.height), slice(tile.left, tile.left + framing.width)
        canvas[here] += part
        cover[here] += 1
    found, times = canvas[y0:y1, x0:x1], cover[y0:y1, x0:x1]
    found /= times.reshape(*times.shape, *[1] * (found.ndim - 2))
    return found
