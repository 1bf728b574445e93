"""One random view of an image and its mask: crop, scale and flip together, colour on the image alone."""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from pydantic import Field

from roadseg.contracts.params import Section
from roadseg.train.data.randaugment import MAX_MAGNITUDE, Change, change, random_changes


class ViewRecipe(Section):
    """How views are drawn; a part of the section `train`."""

    crop_min: float = Field(gt=0, le=1, description="smallest crop, as a share of either side")
    aspect: float = Field(ge=0, lt=1, description="how far the crop's sides may differ")
    colour: float = Field(ge=0, lt=1, description="strength of brightness, contrast and tint")
    uniform: float = Field(ge=0, le=1, description="share of the images drawn for each class in turn; 0 is off")
    randaugment: float = Field(
        ge=0, le=MAX_MAGNITUDE, description="magnitude of RandAugment's two operations; 0 is off"
    )


@dataclass(frozen=True)
class View:
    """What is done to one pair.

    Attributes:
        box: left, top, right, bottom of the crop as shares of width and height, 0..1.
        flip: mirrored left to right.
        gain, offset: of each channel, float32 (3,) in grey levels.
        changes: operations of RandAugment, after all else.
    """

    box: tuple[float, float, float, float]
    flip: bool
    gain: np.ndarray
    offset: np.ndarray
    changes: tuple[Change, ...] = ()


WHOLE = View((0.0, 0.0, 1.0, 1.0), False, np.ones(3, np.float32), np.zeros(3, np.float32))


def random_view(recipe: ViewRecipe, rng: np.random.Generator, of_changes: np.random.Generator) -> View:
    """Draw a view.

    Args:
        recipe: how.
        rng: the only source of chance, but for the changes.
        of_changes: of RandAugment's, so that with them crop, flip and colour stay the same.
    """
    scale, skew = rng.uniform(recipe.crop_min, 1.0), rng.uniform(-recipe.aspect, recipe.aspect)
    width, height = min(1.0, scale * (1 + skew)), min(1.0, scale * (1 - skew))
    left, top = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    contrast, brightness = 1 + recipe.colour * rng.uniform(-1, 1), 128 * recipe.colour * rng.uniform(-1, 1)
    tint = 1 + 0.3 * recipe.colour * rng.uniform(-1, 1, 3)
    gain = (contrast * tint).astype(np.float32)
    offset = (brightness + 128 * (1 - gain)).astype(np.float32)  # contrast turns around mid-grey
    box, flip = (left, top, left + width, top + height), bool(rng.random() < 0.5)
    return View(box, flip, gain, offset, random_changes(of_changes, recipe.randaugment))


def centred(view: View, mask: np.ndarray, shown: int, pixel: float) -> View:
    """Move the crop: a pixel of a class comes into its middle, or as near to it as the edges of the image allow.

    Args:
        view: keeps all but the place of its box.
        mask: uint8 (H, W); shows the class.
        shown: the class.
        pixel: which of those of the class, in reading order, 0..1.
    """
    pixels = np.flatnonzero(mask == shown)
    row, column = np.unravel_index(pixels[int(pixel * len(pixels))], mask.shape)
    left, top, right, bottom = view.box
    width, height = right - left, bottom - top
    left = float(np.clip((column + 0.5) / mask.shape[1] - width / 2, 0, 1 - width))
    top = float(np.clip((row + 0.5) / mask.shape[0] - height / 2, 0, 1 - height))
    return replace(view, box=(left, top, left + width, top + height))


def apply(
    view: View, image: np.ndarray, mask: np.ndarray, size: tuple[int, int], mask_size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Show a pair as the view says.

    Args:
        view: what is done.
        image: uint8 (H, W, 3).
        mask: uint8 (H, W).
        size: height and width of the image returned.
        mask_size: height and width of the mask returned.

    Returns:
        uint8 (h, w, 3) bilinear, and uint8 (mask h, mask w) nearest neighbour; void where `changes` moved it away.
    """
    height, width = mask.shape
    left, top, right, bottom = view.box
    box = (left * width, top * height, right * width, bottom * height)
    seen = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR, box))
    ids = np.asarray(Image.fromarray(mask).resize(mask_size[::-1], Image.Resampling.NEAREST, box))
    if view.flip:
        seen, ids = seen[:, ::-1], ids[:, ::-1]
    if (view.gain != 1).any() or (view.offset != 0).any():
        # a table of 256 entries per channel is five times faster than arithmetic on the pixels
        levels = np.clip(np.arange(256, dtype=np.float32)[:, None] * view.gain + view.offset, 0, 255).astype(np.uint8)
        seen = np.stack([levels[seen[..., channel], channel] for channel in range(3)], axis=-1)
    return change(view.changes, seen, ids)
