"""The canvas of a generated scene: shapes in metres, seen through a camera, drawn on image and mask in step."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw

from roadseg.synthetic.looks import (
    FAR,
    FOCAL_LENGTH,
    HEIGHT,
    INKS,
    LABELS,
    ROADSIDE,
    SKY,
    SPRITES,
    WIDTH,
    Colour,
    Fill,
    Label,
    Look,
    Pair,
    Point,
    Rng,
)

T = TypeVar("T")
ALONG = tuple(1.3 / 1.26**step for step in range(21))  # nearnesses from below the picture to almost the horizon


class Canvas:
    """An image and a mask on which the same shapes are drawn, and the camera through which they are seen."""

    def __init__(self, look: Look, rng: Rng) -> None:
        self.look, self.rng = look, rng
        self.horizon = HEIGHT * (look.horizon + self.between(-0.07, 0.07))
        self.tilt = self.between(-0.05, 0.05)
        self.vanish = WIDTH / 2 + self.between(-70, 70)
        self.bend = self.between(-130, 130) * self.pick((0, 1))
        self.metre = (HEIGHT - self.horizon) / look.camera  # pixels at nearness 1
        self.camera = self.between(-0.7, 0.7) * look.half_road  # metres to the right of the road's middle
        self.image = _sky(self)  # RGBA; until _photograph alpha says how rough a surface is
        self.mask = Image.new("L", (WIDTH, HEIGHT), SKY)
        self._pen, self._mask_pen = ImageDraw.Draw(self.image), ImageDraw.Draw(self.mask)
        self._later: list[tuple[float, Callable[[], None]]] = []

    def between(self, low: float, high: float) -> float:
        """A random number; all are equally likely."""
        return low + (high - low) * float(self.rng.random())

    def pick(self, options: Sequence[T]) -> T:
        """One of the options; all are equally likely."""
        return options[int(self.rng.integers(len(options)))]

    def inks(self) -> dict[str, Colour]:
        """The colours of one thing, by their names in SPRITES."""
        codes = {name: self.pick(options.split()) for name, options in INKS.items()}
        return {name: (int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)) for name, code in codes.items()}

    def at(self, side: float, near: float, up: float = 0) -> Point:
        """Where in the picture a point `up` metres above the spot (side, near) is seen."""
        x = self.vanish + self.bend * (1 - near) * (1 - near) + (side - self.camera) * self.metre * near
        y = self.level(x) + (HEIGHT - self.horizon) * near - up * self.metre * near
        return round(x), round(y)

    def level(self, x: float) -> float:
        """The height of the horizon in a column, pixels from the top."""
        return self.horizon + self.tilt * (x - WIDTH / 2)

    def near(self, metres: float) -> float:
        """The nearness of what is so many metres away."""
        return FOCAL_LENGTH / (self.metre * metres)

    def steps(self, metres: float, growth: float, start: float = 3) -> Iterator[Pair]:
        """Cut the way ahead into pieces, each `growth` times longer than the last; their far and near ends."""
        while start < 120:
            yield self.near(start + metres), self.near(start)
            start, metres = start + metres, metres * growth

    def area(self, points: Sequence[Point], colour: Fill, label: Label, near: float, rough: int = 14) -> None:
        """Fill a polygon in image and mask."""
        if colour is not None:
            self._pen.polygon(points, fill=self._ink(colour, near, rough))
        if label is not None:
            self._mask_pen.polygon(points, fill=label)

    def oval(self, middle: Point, radii: Pair, colour: Colour, label: Label, near: float, rough: int = 14) -> None:
        """Fill an ellipse in image and mask; radii in pixels."""
        (x, y), (across, up) = middle, radii
        box = (round(x - across), round(y - up), round(x + across), round(y + up))
        self._pen.ellipse(box, fill=self._ink(colour, near, rough))
        if label is not None:
            self._mask_pen.ellipse(box, fill=label)

    def _ink(self, colour: Colour, near: float, rough: int) -> tuple[int, int, int, int]:
        return (*mix(colour, self.look.sky[1], self.look.haze * 0.06 / (0.06 + near)), rough)

    def strip(self, sides: Pair, colour: Colour, label: Label, nears: Sequence[float] = ALONG, rough: int = 22) -> None:
        """Fill a band of ground that follows the road."""
        points = [self.at(sides[0], near) for near in nears] + [self.at(sides[1], near) for near in nears[::-1]]
        self.area(points, colour, label, max(nears) / 2, rough)

    def flank(self, side: float, nears: Pair, ups: Pair, colour: Fill, label: Label) -> None:
        """Fill an upright panel that follows the road."""
        (far, near), (low, high) = nears, ups
        spots = ((far, low), (near, low), (near, high), (far, high))
        self.area([self.at(side, *spot) for spot in spots], colour, label, near)

    def front(self, sides: Pair, near: float, ups: Pair, colour: Fill, label: Label) -> None:
        """Fill an upright panel that faces the camera."""
        (left, right), (low, high) = sides, ups
        spots = ((left, low), (right, low), (right, high), (left, high))
        self.area([self.at(side, near, up) for side, up in spots], colour, label, near)

    def block(self, sides: Pair, nears: Pair, ups: Pair, colour: Colour, label: int) -> None:
        """Fill a box square to the road: the flank that is seen, the top, then the front."""
        far, near = nears
        for side, hand in zip(sides, (-1, 1), strict=True):
            if (self.at(side, far)[0] - self.at(side, near)[0]) * hand > 0:
                self.flank(side, nears, ups, tone(colour, 96 if self.look.sun == hand else 74), label)
        top = [self.at(sides[x], nears[y], ups[1]) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
        self.area(top, tone(colour, 110), label, near)
        self.front(sides, near, ups, colour, label)

    def leaves(self, side: float, near: float, up: float, size: float, percent: float) -> None:
        """Fill a bundle of leaves of `size` metres, in a percentage of their colour's brightness."""
        radius = size * self.metre * near
        self.oval(self.at(side, near, up), (radius, radius * 0.85), tone(self.look.leaf, percent), FAR, near, 120)

    def stand(self, name: str, side: float, near: float, inks: dict[str, Colour], size: float = 1) -> None:
        """Stand a thing of SPRITES on a spot, `size` times as large; below zero it is mirrored."""
        label, pixels = LABELS.get(name, ROADSIDE), self.metre * near / 2
        for part in SPRITES[name].split(";"):
            shape, ink, *words = part.split()
            x = [side + float(word) * size for word in words[::2]]
            y = [float(word) * abs(size) for word in words[1::2]]
            if shape == "poly":
                self.area([self.at(*spot) for spot in zip(x, [near] * len(x), y, strict=True)], inks[ink], label, near)
            elif shape == "box":
                self.front((x[0], x[1]), near, (y[0], y[1]), inks[ink], label)
            elif shape == "oval":
                radii = abs(x[1] - x[0]) * pixels, (y[1] - y[0]) * pixels
                self.oval(self.at((x[0] + x[1]) / 2, near, (y[0] + y[1]) / 2), radii, inks[ink], label, near)
            else:
                start, end = (1 / (1 / near + self.metre / FOCAL_LENGTH * float(word)) for word in words[4:])
                self.block((min(x[:2]), max(x[:2])), (end, start), (y[0], y[1]), inks[ink], label)

    def later(self, near: float, draw: Callable[..., None], *args: object) -> None:
        """Draw it when all that is further away has been drawn."""
        self._later.append((near, partial(draw, *args)))

    def paint(self) -> None:
        """Draw what was put off, from far to near."""
        for _, draw in sorted(self._later, key=lambda item: item[0]):
            draw()


def tone(colour: Colour, percent: float) -> Colour:
    """The colour with so much of its brightness."""
    red, green, blue = colour
    return min(255, int(red * percent / 100)), min(255, int(green * percent / 100)), min(255, int(blue * percent / 100))


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """The colour that is `share` of the way to the other."""
    (red, green, blue), (r, g, b) = one, other
    return int(red + (r - red) * share), int(green + (g - green) * share), int(blue + (b - blue) * share)


def blotches(rng: Rng, rows: int, columns: int) -> np.ndarray:
    """Smooth noise, int32 (HEIGHT, WIDTH), 0..255: so many random rows and columns, stretched."""
    noise = Image.fromarray(rng.integers(0, 256, (rows, columns), dtype=np.uint8))
    return np.asarray(noise.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)).astype(np.int32)


def _sky(canvas: Canvas) -> Image.Image:
    look, reach = canvas.look, int(canvas.horizon + 8)
    column = np.array([mix(*look.sky, min(row / reach, 1)) for row in range(HEIGHT)], np.uint8)
    sky = Image.fromarray(np.repeat(column[:, None, :], WIDTH, axis=1))
    clouds = 2 * blotches(canvas.rng, 14, 6) + blotches(canvas.rng, 36, 14)
    cover = np.clip(clouds - 430 + 3 * look.clouds, 0, 220).astype(np.uint8)
    sky.paste(tone(look.sky[1], 112), mask=Image.fromarray(cover))
    sky.putalpha(4)
    return sky
