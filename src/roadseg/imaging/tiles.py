"""Cut a scaled frame into tiles, and put tiles together again."""

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
    if framing.grid == 1:
        return canvas[None]
    return np.stack(
        [
            canvas[tile.top : tile.top + framing.height, tile.left : tile.left + framing.width]
            for tile in framing.tiles(height, width)
        ]
    )


def join(tiles: np.ndarray, framing: Framing, height: int, width: int) -> np.ndarray:
    """Put the tiles of one frame together, without the padding.

    Args:
        tiles: (T, H, W, ...) in the order of `framing.tiles(height, width)`.
        framing: the rule.
        height, width: the frame's own size, pixels.

    Returns:
        (h, w, ...), the size of `framing.place(height, width)`.
    """
    y0, x0, y1, x1 = framing.place(height, width)
    if framing.grid == 1:
        return tiles[0, y0:y1, x0:x1]
    canvas = np.zeros((*framing.canvas, *tiles.shape[3:]), tiles.dtype)
    for part, tile in zip(tiles, framing.tiles(height, width), strict=True):
        canvas[tile.top : tile.top + framing.height, tile.left : tile.left + framing.width] = part
    return canvas[y0:y1, x0:x1]
