"""The colours that masks with a palette show, by which ids of several masks can be compared."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """What a mask with a palette holds.

    Attributes:
        colors: by index.
        used: the indices that pixels hold.
    """

    colors: tuple[Color, ...]
    used: tuple[int, ...]

    @classmethod
    def of(cls, picture: Image.Image, left_out: set[int]) -> "Palette":
        """That of a picture of mode P, up to the last index that counts.

        Args:
            picture: decoded.
            left_out: indices that do not count, as those of void, which tools often paint like something else.
        """
        flat = picture.getpalette("RGB") or []
        colors = tuple(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
        there = np.unique(np.asarray(picture)).tolist()
        used = tuple(index for index in there if index < len(colors) and index not in left_out)
        return cls(colors[: max(used, default=-1) + 1], used)

    @property
    def text(self) -> str:
        """For `of_text`: used indices, then colours."""
        colors = bytes(channel for color in self.colors for channel in color)
        return f"{bytes(self.used).hex()} {colors.hex()}"

    @classmethod
    def of_text(cls, text: str) -> "Palette":
        """What `text` wrote."""
        used, colors = (bytes.fromhex(part) for part in text.split(" "))
        return cls(tuple(zip(colors[::3], colors[1::3], colors[2::3], strict=True)), tuple(used))

    def disagrees(self, other: "Palette") -> tuple[Color, int, int] | None:
        """A colour that both masks show and neither could by the other's index, with its index here and there."""
        places = {other.colors[index]: index for index in other.used}
        for here in self.used:
            color = self.colors[here]
            there = places.get(color, here)
            if there != here and not (self.shows(there, color) or other.shows(here, color)):
                return color, here, there
        return None

    def shows(self, index: int, color: Color) -> bool:
        """Whether an index has a colour."""
        return index < len(self.colors) and self.colors[index] == color
