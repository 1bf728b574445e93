"""What scenes are made of: sizes, ids, sprites, inks, and the look that the frames of one drive share."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

WIDTH, HEIGHT = 320, 227
FOCAL_LENGTH = 260  # pixels; what is a metre wide is FOCAL_LENGTH / distance wide in the picture
DRIVABLE, VERGE, LIVING, VEHICLE, ROADSIDE, FAR, SKY, VOID = 0, 1, 2, 3, 4, 5, 6, 255

Colour = tuple[int, int, int]  # RGB, 0..255
Fill: TypeAlias = Colour | None  # None leaves the image as it is
Label: TypeAlias = int | None  # None leaves the mask as it is
Point = tuple[int, int]  # pixels, x and y
Pair = tuple[float, float]  # least and most; of nearnesses: far and near
Rng = np.random.Generator

# What stands upright, part by part: shape, colour, metres from the middle of its foot (x right, y up).
# box and oval: x y x y; poly: x y ...; deep: a box that starts and ends so many metres further away.
SPRITES = {
    "walker": """poly trousers -.17 0 -.02 0 .02 .86 -.22 .86; poly trousers .06 .04 .2 .04 .22 .86 .0 .86;
        poly shirt -.24 .8 .24 .8 .29 1.38 .13 1.5 -.13 1.5 -.29 1.38; poly shirt -.29 1.4 -.4 .85 -.3 .82 -.2 1.3;
        poly shirt .29 1.4 .4 .85 .3 .82 .2 1.3; oval dark -.14 1.5 .14 1.82; oval skin -.12 1.46 .12 1.72""",
    "sari": """poly shirt -.33 0 .33 0 .22 .95 .29 1.38 .12 1.5 -.12 1.5 -.29 1.38 -.22 .95;
        poly sash -.24 .9 -.1 .8 .29 1.34 .14 1.48; poly sash -.33 0 .33 0 .31 .12 -.31 .12;
        poly skin -.29 1.36 -.37 .9 -.29 .88 -.21 1.2; oval dark -.15 1.46 .15 1.8; oval skin -.11 1.46 .11 1.7""",
    "cow": """box hide -.75 0 -.6 .8; box hide -.45 0 -.32 .8; box hide .35 0 .48 .8; box hide .6 0 .74 .8;
        oval hide -.9 .55 .85 1.4; poly patch -.5 1.35 -.1 1.3 0 1 -.3 .8 -.6 1; poly patch .3 1.3 .6 1.2 .5 .9 .2 1;
        poly hide .6 1 .95 1.5 1.15 1.35 .85 .85; oval hide .85 1.1 1.35 1.55; poly white 1 1.5 1.08 1.8 1.14 1.5;
        poly hide -.9 1.2 -1 .6 -.85 1""",
    "rider": """poly trousers -.34 .3 -.2 .3 -.08 .8 -.3 .8; poly trousers .34 .3 .2 .3 .08 .8 .3 .8;
        poly shirt -.26 .72 .26 .72 .3 1.25 .14 1.4 -.14 1.4 -.3 1.25; poly shirt -.3 1.28 -.48 .98 -.38 .92 -.2 1.1;
        poly shirt .3 1.28 .48 .98 .38 .92 .2 1.1; oval dark -.16 1.36 .16 1.76; box glass -.1 1.5 .1 1.6""",
    "motorcycle": """box dark -.11 0 .11 .6; poly paint -.2 .4 .2 .4 .26 .75 .18 .9 -.18 .9 -.26 .75;
        box dark -.5 .96 .5 1.04; box lamp -.1 .62 .1 .76; box white -.13 .4 .13 .52""",
    "rickshaw": """box dark -.66 0 -.5 .5; box dark .5 0 .66 .5; deep hull -.68 .28 .68 1 0 2.4;
        deep canopy -.64 1 .64 1.7 .2 2; poly canopy -.68 .98 .68 .98 .62 1.62 .42 1.8 -.42 1.8 -.62 1.62;
        box glass -.44 1.1 .44 1.5; box lamp -.64 .6 -.48 .76; box lamp .48 .6 .64 .76; box white -.2 .42 .2 .6""",
    "car": """box dark -.84 0 -.6 .5; box dark .6 0 .84 .5; deep paint -.86 .26 .86 .92 0 3.9;
        deep paint -.74 .92 .74 1.5 .3 2.2; poly glass -.66 .94 .66 .94 .58 1.4 -.58 1.4; box dark -.86 .26 .86 .4;
        box lamp -.84 .66 -.56 .84; box lamp .56 .66 .84 .84; box white -.25 .46 .25 .6""",
    "van": """box dark -.9 0 -.62 .5; box dark .62 0 .9 .5; deep paint -.92 .28 .92 1.95 0 4.6; box white -.3 .5 .3 .7;
        box glass -.76 1.1 .76 1.75; box dark -.92 .28 .92 .44; box lamp -.9 .62 -.7 1; box lamp .7 .62 .9 1""",
    "truck": """box dark -1.1 0 -.6 .9; box dark .6 0 1.1 .9; deep hull -1.2 .7 1.2 3.1 0 6.5; box lamp .8 1 1.1 1.2;
        box paint -1.1 1.3 1.1 2.9; box hull -.06 1.3 .06 2.9; box hull -1.1 2 1.1 2.1; box yellow -1.15 .72 1.15 1;
        box dark -.3 .75 .3 1; box lamp -1.1 1 -.8 1.2""",
    "lorry": """box dark -1.1 0 -.6 .8; box dark .6 0 1.1 .8; deep hull -1.2 .8 1.2 3.2 1.4 6;
        deep paint -1.2 .5 1.2 2.7 0 1.6; box glass -1.02 1.6 1.02 2.35; box yellow -1.1 2.42 1.1 2.66;
        box dark -.6 .75 .6 1.3; box dark -1.2 .5 1.2 .66; oval lamp -1.1 .8 -.8 1.1; oval lamp .8 .8 1.1 1.1""",
    "bus": """box dark -1.1 0 -.7 .7; box dark .7 0 1.1 .7; deep paint -1.25 .4 1.25 3.1 0 9; box lamp .8 .7 1.1 1;
        box glass -1.1 1.6 1.1 2.6; box hull -1.25 1.1 1.25 1.45; box white -.6 2.7 .6 3; box lamp -1.1 .7 -.8 1""",
    "lamppost": "box metal -.13 0 .13 7; box metal -.2 0 .2 .8; poly metal -.1 6.9 2 7.2 2 7.4 -.1 7.1",
    "pole": "box metal -.14 0 .14 7.5; box metal -.9 6.7 .9 6.86; box dark -.3 5.2 .3 6.2; box white -.15 .9 .15 1.6",
    "ring": "box metal -.08 0 .08 2; oval red -.5 1.9 .5 2.9; oval white -.35 2.05 .35 2.75; box dark -.2 2.3 .2 2.45",
    "warning": "box metal -.08 0 .08 2; poly red -.6 1.9 .6 1.9 0 3; poly white -.38 2.03 .38 2.03 0 2.72",
    "direction": """box metal -1 0 -.85 3; box metal .85 0 1 3; box white -1.5 2.2 1.5 3.9; box hull -1.4 2.3 1.4 3.8;
        box white -1.1 3.2 .7 3.4; box white -1.1 2.7 1.1 2.9""",
    "billboard": """box metal -1.8 0 -1.55 3; box metal 1.55 0 1.8 3; box white -2.7 2.6 2.7 5.4;
        box board -2.55 2.75 2.55 5.25; oval sash -2.1 3.1 -.4 4.9; box white 0 4.2 2.2 4.7; box white 0 3.4 1.7 3.7""",
    "barricade": """box metal -.85 0 -.72 .5; box metal .72 0 .85 .5; box yellow -.95 .3 .95 1.2;
        box dark -.95 .62 -.5 .9; box dark -.25 .62 .25 .9; box dark .5 .62 .95 .9""",
    "milestone": "box white -.3 0 .3 .6; oval yellow -.3 .35 .3 .95; box dark -.15 .3 .15 .4",
}
LABELS = dict.fromkeys(("walker", "sari", "cow", "rider"), LIVING)  # the rest of SPRITES are ROADSIDE
LABELS |= dict.fromkeys(("motorcycle", "rickshaw", "car", "van", "truck", "lorry", "bus"), VEHICLE)
INKS = {
    "shirt": "d62c38 f08c1e ecd03c 2678d6 1ea06e 963caa ec508c f0eee6 183c82 781e28",
    "sash": "f4d060 e85030 38b0a8 f0f0f0 7a2a90 2050a0",
    "board": "c4502e 1f5f8b 2f7d5b e0b84a f1ece0 5a4a82 8f2f3a 3a3f4a",
    "trousers": "282c3e 46403a 1c1c1e 60687c 948268",
    "paint": "e2e2e0 acaeb2 5c6066 282a30 a82426 2c4a8a c4b496 d8d8da",
    "hull": "246e3c 1e5aa0 c45c1e 962424 2c2c2e 5a4632",
    "skin": "704a34 8e6044 543826 a87858",
    "hide": "e2dcce 805434 3a2e28 ba966e",
    "patch": "f0e8da 5e3e28 2e2622",
    "dark": "222226 1c1a1c",
    "glass": "343e4a 46525e",
    "white": "e8e6de dcdcd8",
    "yellow": "ecbe28",
    "red": "ce2628",
    "metal": "848482 a2a2a0 6e6c68",
    "oxide": "a04430 8c3a2c",
    "canopy": "f0c424 e8b81c",
}
TAIL_LAMP, HEAD_LAMP = (214, 38, 34), (246, 244, 226)

# The heights of a barrier, metres, and its bands: from and to, in shares of the height, and percent of brightness
# or the name of a colour.
BARRIERS: dict[str, tuple[Pair, tuple[tuple[float, float, int | str], ...]]] = {
    "wall": ((1.7, 3.0), ((0, 1, 84), (0, 0.3, "oxide"), (0.93, 1, 112))),
    "fence": ((1.2, 2.0), ((0.1, 0.17, 110), (0.5, 0.57, 110), (0.86, 0.94, 110))),
    "rail": ((0.8, 1.0), ((0.3, 0.7, 76), (0.7, 1, 108))),
}


@dataclass(frozen=True)
class Place:
    """A kind of surroundings: what is found there; a name given twice is drawn twice as often."""

    half_road: Pair  # metres
    verges: tuple[str, ...]  # paved, grass or none
    backdrops: tuple[str, ...]  # houses, shops, trees, field or a name of BARRIERS
    traffic: tuple[str, ...]  # this and the next two are names of SPRITES
    posts: tuple[str, ...]
    living: tuple[str, ...]
    crowd: int  # people and animals on either side, at most
    jam: int  # vehicles, at most
    median: int  # percent of scenes with a divided road


@dataclass(frozen=True)
class Look:
    """What the frames of one drive share."""

    place: Place
    horizon: float  # share of the picture's height
    camera: float  # metres above the ground
    half_road: float  # metres
    shoulder: float  # metres of drivable earth beside the road
    sky: tuple[Colour, Colour]  # at the top and at the horizon
    clouds: int  # percent
    light: Colour  # 256 leaves a channel as it is
    haze: float  # 0 clear, 1 thick
    sun: int  # -1 shadows come from the left, 1 from the right, 0 there are none
    road: Colour
    earth: Colour
    grass: Colour
    paving: Colour
    leaf: Colour
    houses: tuple[Colour, ...]
    curb: tuple[Colour, Colour]
    lines: int  # 0 no markings, 1 a middle line, 2 edge lines too
    marking: Colour
    softness: float  # pixels of blur
    noise: int  # greatest error of a pixel, 0..255
