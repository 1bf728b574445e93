"""Masks as people look at them."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from roadseg.contracts.classes import ClassTable

WRONG = np.array((235, 64, 52))  # red


def colourise(mask: np.ndarray, classes: ClassTable) -> np.ndarray:
    """Paint uint8 ids (H, W) in the table's colours, uint8 (H, W, 3); void is black."""
    return np.asarray(classes.palette[mask])


def overlay(image: np.ndarray, mask: np.ndarray, classes: ClassTable, opacity: float = 0.5) -> np.ndarray:
    """Lay the coloured mask over the image, uint8 (H, W, 3); void leaves the image as it is.

    Args:
        image: uint8 (H, W, 3).
        mask: uint8 (H, W), ids.
        classes: gives the colours.
        opacity: how far the colours cover the image, 0..1.
    """
    mixed = image * (1 - opacity) + colourise(mask, classes) * opacity
    return np.where((mask < classes.count)[..., None], mixed.round(), image).astype(np.uint8)


def mistakes(image: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """The image in dim grey, uint8 (H, W, 3), with the pixels that bool (H, W) `wrong` marks in red."""
    grey = image.mean(-1, keepdims=True) * 0.55 + 40
    return np.where(wrong[..., None], WRONG, grey).astype(np.uint8)


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str], classes: ClassTable) -> Image.Image:
    """Pictures in a grid, a title over each column, the classes and their colours below.

    Args:
        rows: uint8 (H, W, 3) each, one list per row, all of one size.
        titles: one per column.
        classes: what the legend names.
    """
    gap, line = 4, 18
    height, width = rows[0][0].shape[:2]
    legend = [f"{entry.name}" for entry in classes.classes]
    total_width = len(titles) * (width + gap) + gap
    per_line = max(1, total_width // 150)
    legend_height = line * -(-len(legend) // per_line) + gap
    sheet = Image.new("RGB", (total_width, line + len(rows) * (height + gap) + gap + legend_height), "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        draw.text((gap + column * (width + gap), 3), title, fill="black")
    for number, row in enumerate(rows):
        for column, picture in enumerate(row):
            sheet.paste(Image.fromarray(picture), (gap + column * (width + gap), line + number * (height + gap)))
    top = line + len(rows) * (height + gap) + gap
    for number, entry in enumerate(classes.classes):
        x, y = gap + number % per_line * 150, top + number // per_line * line
        draw.rectangle((x, y, x + 12, y + 12), fill=entry.color)
        draw.text((x + 18, y), legend[number], fill="black")
    return sheet
