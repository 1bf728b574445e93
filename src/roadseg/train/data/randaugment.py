"""RandAugment: a few operations of one strength, chosen from a table; the mask follows those that move pixels."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

OPERATIONS = 2  # on each pair
MAX_MAGNITUDE = 10.0
VOID, GREY = 255, 128  # what comes in from outside: in the mask, in each channel of the image

Change = tuple[str, float]  # an operation's name and its strength, -1..1
Linear = tuple[float, float, float, float, float, float]  # a, b, d, e in pixels and the shifts as shares of the sides

# Ranges as in AutoAugment (Cubuk et al., CVPR 2019, table 6); operations with a direction take the sign.
COLOURS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "identity": lambda image, _: image,
    "autocontrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
    "solarize": lambda image, strength: ImageOps.solarize(image, round(256 * (1 - abs(strength)))),
    "posterize": lambda image, strength: ImageOps.posterize(image, 8 - round(4 * abs(strength))),
    "colour": lambda image, strength: ImageEnhance.Color(image).enhance(1 + 0.9 * strength),
    "contrast": lambda image, strength: ImageEnhance.Contrast(image).enhance(1 + 0.9 * strength),
    "brightness": lambda image, strength: ImageEnhance.Brightness(image).enhance(1 + 0.9 * strength),
    "sharpness": lambda image, strength: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * strength),
}
MOVES: dict[str, Callable[[float], Linear]] = {
    "rotate": lambda strength: _rotation(math.radians(30 * strength)),
    "shear_x": lambda strength: (1, 0.3 * strength, 0, 1, 0, 0),
    "shear_y": lambda strength: (1, 0, 0.3 * strength, 1, 0, 0),
    "translate_x": lambda strength: (1, 0, 0, 1, 0.45 * strength, 0),
    "translate_y": lambda strength: (1, 0, 0, 1, 0, 0.45 * strength),
}
NAMES = (*COLOURS, *MOVES)


def random_changes(rng: np.random.Generator, magnitude: float) -> tuple[Change, ...]:
    """Draw the operations for one pair.

    Args:
        rng: the only source of chance.
        magnitude: of every operation, 0 (none is drawn) to `MAX_MAGNITUDE`; the direction is drawn.

    Source: Cubuk et al., "RandAugment", 2020: all operations equally likely, one magnitude.
    """
    if magnitude == 0:
        return ()
    drawn = zip(rng.choice(NAMES, OPERATIONS), rng.choice([-1.0, 1.0], OPERATIONS), strict=True)
    return tuple((str(name), float(sign) * magnitude / MAX_MAGNITUDE) for name, sign in drawn)


def change(changes: tuple[Change, ...], image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Apply operations in their order.

    Args:
        changes: see `random_changes`.
        image: uint8 (H, W, 3).
        mask: uint8 (h, w) of the same view and the same proportions.

    Returns:
        uint8 image and mask of the same shapes; moved bilinear and nearest neighbour, void where nothing was.
    """
    if not changes:
        return image, mask
    seen, ids = Image.fromarray(image), Image.fromarray(mask)
    for name, strength in changes:
        if name in COLOURS:
            seen = COLOURS[name](seen, strength)
        else:
            move = MOVES[name](strength)
            seen = _moved(seen, move, Image.Resampling.BILINEAR, (GREY,) * 3)
            ids = _moved(ids, move, Image.Resampling.NEAREST, VOID)
    return np.asarray(seen), np.asarray(ids)


def _rotation(angle: float) -> Linear:
    return math.cos(angle), math.sin(angle), -math.sin(angle), math.cos(angle), 0, 0


def _moved(
    image: Image.Image, move: Linear, resampling: Image.Resampling, fill: int | tuple[int, int, int]
) -> Image.Image:
    """Show in each pixel what lies at `move` of it, around the middle."""
    a, b, d, e, right, down = move
    x, y = image.width / 2, image.height / 2
    shifts = (x - a * x - b * y + right * image.width, y - d * x - e * y + down * image.height)
    coefficients = (a, b, shifts[0], d, e, shifts[1])
    return image.transform(image.size, Image.Transform.AFFINE, coefficients, resampling, fillcolor=fill)
