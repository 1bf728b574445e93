"""One generated road scene: an image and its mask, drawn in step from the look of a drive.

A scene is laid out in metres on a flat ground and seen through a camera. A spot on the ground is (side,
near): metres to the right of the road's middle, and nearness, which is 1 at the bottom edge of the picture
and falls to 0 at the horizon, as 1 / distance. What stands on the ground is painted from far to near.

The arithmetic is whole numbers or + - * /, without sin, exp or normal draws: those differ between
processors in the last bit, and equal seeds must give equal files (with equal versions of numpy and pillow).
"""

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from roadseg.synthetic.canvas import ALONG, Canvas, blotches, mix, tone
from roadseg.synthetic.looks import (
    BARRIERS,
    DRIVABLE,
    FAR,
    HEAD_LAMP,
    HEIGHT,
    ROADSIDE,
    TAIL_LAMP,
    VERGE,
    VOID,
    WIDTH,
    Colour,
    Look,
    Pair,
    Rng,
)


def draw_scene(look: Look, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Draw one scene.

    Args:
        look: what the scene shares with the others of its drive.
        rng: the source of all that is its own; equal states give equal scenes.

    Returns:
        The image, uint8 (HEIGHT, WIDTH, 3) RGB, and its mask, uint8 (HEIGHT, WIDTH): level-1 ids 0..6, void 255.
    """
    canvas = Canvas(look, rng)
    _far_away(canvas)
    divided = int(rng.integers(100)) < look.place.median
    left, right = -look.half_road, look.half_road * (2 if divided else 1) + divided
    _ground(canvas, left, right)
    if divided:
        _median(canvas, look.half_road)
    for hand, edge in ((-1, look.shoulder - left), (1, look.shoulder + right)):
        outer = _verge(canvas, hand, edge)
        _backdrop(canvas, hand, outer)
        _posts(canvas, hand, edge, outer)
        _living(canvas, hand, edge, outer)
    _traffic(canvas)
    canvas.paint()
    return _photograph(canvas), _with_void(np.array(canvas.mask), rng)


def _far_away(canvas: Canvas) -> None:
    """Hills, a skyline and a line of trees on the horizon."""
    look, between = canvas.look, canvas.between
    level = [(x, round(canvas.level(x))) for x in range(-40, WIDTH + 41, 20)]
    rise = between(6, 44)
    hills = [(x, round(y - rise * between(0.4, 1))) for x, y in level]
    canvas.area([*hills, (WIDTH + 40, HEIGHT), (-40, HEIGHT)], mix(look.leaf, look.sky[1], 0.35), FAR, 0.02, 30)
    for _ in range(int(between(0, 7))):
        left, wide, high = round(between(-10, WIDTH)), round(between(8, 34)), round(between(8, 50))
        wall = canvas.pick(look.houses)
        foot = round(canvas.level(left)) + 4
        for row in range(0, high, 6):  # a storey and its row of windows
            for low, up, colour in ((row, row + 6, wall), (row + 3, row + 4, tone(wall, 60))):
                box = [(left, foot - low), (left + wide, foot - low), (left + wide, foot - up), (left, foot - up)]
                canvas.area(box, colour, FAR, 0.035)
    for x, y in level * 2:
        size = between(4, 20)
        middle = round(x + between(-10, 10)), round(y - size / 3)
        canvas.oval(middle, (between(10, 20), size), tone(look.leaf, between(65, 105)), FAR, 0.035, 80)


def _ground(canvas: Canvas, left: float, right: float) -> None:
    """Fields, and between the two edges the road with its wear, markings and shadows."""
    look, between = canvas.look, canvas.between
    corners = [(-1, round(canvas.level(-1))), (WIDTH, round(canvas.level(WIDTH))), (WIDTH, HEIGHT), (-1, HEIGHT)]
    canvas.area(corners, mix(look.leaf, look.grass, 0.35), FAR, 0.1, 90)
    canvas.strip((left - look.shoulder, right + look.shoulder), look.earth, DRIVABLE, rough=50)
    canvas.strip((left, right), look.road, DRIVABLE)
    for number in range(6):  # wheel tracks and patches
        side, first, second = between(left, right - 1.2), canvas.near(between(3, 30)), canvas.near(between(3, 30))
        nears = ALONG if number % 2 else (first, second)
        canvas.strip((side, side + between(0.3, 1.2)), tone(look.road, between(84, 112)), None, nears)
    if look.lines:
        for number, nears in enumerate(canvas.steps(2.6, 1)):
            if number % 3 == 0 and nears[0] > 0.03:
                canvas.strip((-0.08, 0.08), look.marking, None, nears)
        if canvas.pick(range(5)) == 0:  # a zebra crossing
            nears = canvas.near(between(9, 16)), canvas.near(between(5, 8))
            for stripe in range(int(right - left) - 1):
                canvas.strip((left + stripe + 0.5, left + stripe + 1), look.marking, None, nears)
    if look.lines == 2:
        for side in (left + 0.3, right - 0.45):
            canvas.strip((side, side + 0.16), look.marking, None)
    if look.sun:
        shade, reach = Image.new("L", (WIDTH, HEIGHT), 255), between(-1.4, 0.6) * look.half_road
        pen = ImageDraw.Draw(shade)
        ragged = [canvas.at(look.sun * (reach + between(-1.2, 1.2)), near) for near in ALONG]
        pen.polygon([*ragged, canvas.at(look.sun * 60, ALONG[-1]), canvas.at(look.sun * 60, ALONG[0])], fill=130)
        for _ in range(14):  # light that falls through leaves
            x, y = canvas.at(look.sun * between(reach, look.half_road), canvas.near(between(3, 20)))
            pen.ellipse((x - 9, y - 3, x + 9, y + 3), fill=canvas.pick((140, 230)))
        shade = shade.filter(ImageFilter.BoxBlur(1.5))
        shade = Image.merge("RGBA", (shade, shade, shade, Image.new("L", shade.size, 255)))
        canvas.image.paste(ImageChops.multiply(canvas.image, shade))


def _median(canvas: Canvas, side: float) -> None:
    """A low wall with bushes between two carriageways."""
    for number, nears in enumerate(canvas.steps(1.2, 1.12)):
        stone = (side, side + 1), nears, (0, 0.5), canvas.look.curb[number % 2], ROADSIDE
        canvas.later(nears[0], canvas.block, *stone)
        near, size = canvas.between(*nears), canvas.between(0.2, 0.6)
        canvas.later(near, canvas.leaves, side + 0.5, near, 0.4 + size, size, canvas.between(80, 120))


def _verge(canvas: Canvas, hand: int, edge: float) -> float:
    """Lay a pavement with a curb, or grass, beside the road (hand -1 left, 1 right); returns where it ends, metres."""
    look, kind = canvas.look, canvas.pick(canvas.look.place.verges)
    if kind == "none":
        return edge
    outer = edge + canvas.between(1.6, 4.2)
    sides = (hand * edge, hand * outer)
    if kind == "grass":
        canvas.strip(sides, look.grass, VERGE, rough=110)
        return outer
    canvas.strip(sides, look.paving, VERGE)
    for number, nears in enumerate(canvas.steps(1.1, 1.08)):
        canvas.strip(sides, tone(look.paving, (86, 104)[number % 2]), None, nears)
        stone = min(sides[0], sides[0] + hand * 0.32), max(sides[0], sides[0] + hand * 0.32)
        canvas.later(nears[0], canvas.block, stone, nears, (0, 0.3), look.curb[number % 2], ROADSIDE)
    return outer


def _backdrop(canvas: Canvas, hand: int, outer: float) -> None:
    """Put up what bounds the view beside the road."""
    kind, between = canvas.pick(canvas.look.place.backdrops), canvas.between
    if kind in ("houses", "shops"):
        for nears in canvas.steps(between(7, 12), 1.08, between(3, 12)):
            if canvas.pick(range(6)):
                canvas.later(nears[0], _house, canvas, hand, outer + between(0, 1.5), nears, kind == "shops")
            else:
                canvas.later(nears[0], _tree, canvas, hand * (outer + 2), nears[1], between(0.8, 1.3))
        return
    gap = {"trees": 5, "field": 11}.get(kind, 8)
    for far, near in canvas.steps(gap * between(0.5, 1), 1.2, between(4, 9)):
        side, spot = hand * (outer + between(1, 2 + gap / 2)), between(far, near)
        canvas.later(far * 0.9, _tree, canvas, side, spot, between(0.9, 1.7))
    for far, near in canvas.steps(1.5, 1.1):
        size = between(0.4, 1.2)
        canvas.later(far * 0.8, canvas.leaves, hand * (outer + 0.7), near, size * 0.6, size, between(66, 105))
    if kind in BARRIERS:
        height = between(*BARRIERS[kind][0])
        inks = canvas.inks()
        inks["paint"] = inks["white"] if kind == "rail" else canvas.pick(canvas.look.houses)
        for nears in canvas.steps(2.5, 1.06):
            canvas.later(nears[0], _barrier, canvas, kind, hand * outer, nears, height, inks)


def _barrier(canvas: Canvas, kind: str, side: float, nears: Pair, height: float, inks: dict[str, Colour]) -> None:
    """One length of a wall, fence or rail with its post."""
    (far, near), colour = nears, inks["paint"]
    if kind == "fence":  # as in IDD, what shows through belongs to it
        canvas.flank(side, nears, (0, height), None, ROADSIDE)
        for bar in range(1, 5):
            start = far + (near - far) * bar / 5
            canvas.flank(side, (start, start + (near - far) * 0.07), (0, height), colour, ROADSIDE)
    for low, high, shade in BARRIERS[kind][1]:
        paint = inks[shade] if isinstance(shade, str) else tone(colour, shade)
        canvas.flank(side, nears, (low * height, high * height), paint, ROADSIDE)
    canvas.flank(side, (far, far + (near - far) * 0.12), (0, height * 1.04), tone(colour, 66), ROADSIDE)
    if kind == "wall" and canvas.pick((False, True)):  # a poster
        for low, high, ink in ((0.2, 0.8, "board"), (0.3, 0.7, "white"), (0.4, 0.6, "sash")):
            ups = (height * (0.2 + low * 0.8), height * (0.2 + high * 0.8))
            canvas.flank(side, (far + (near - far) * low, far + (near - far) * high), ups, inks[ink], ROADSIDE)


def _house(canvas: Canvas, hand: int, front: float, nears: Pair, shop: bool) -> None:
    """A house with windows; a shop has a shutter and a signboard, which is a road-side object."""
    far, near = nears
    colour, floors = tone(canvas.pick(canvas.look.houses), canvas.between(82, 112)), canvas.pick((1, 2, 2, 3, 4))
    height, side, inks = 3.2 * floors + 0.5, hand * front, canvas.inks()
    canvas.block((min(side, side + hand * 12), max(side, side + hand * 12)), nears, (0, height), colour, FAR)
    canvas.flank(side, nears, (height - 0.4, height), tone(colour, 55), FAR)
    if near < 0.05:
        return
    depths = [1 / (1 / far + (1 / near - 1 / far) * step / 9) for step in range(10)]
    for floor in range(floors):
        ups = 3.2 * floor + 1, 3.2 * floor + 2.4
        for column in (1, 4, 7):
            pane = canvas.pick((inks["glass"], tone(colour, 55)))
            canvas.front((side + hand * column - 0.7, side + hand * column + 0.7), near, ups, pane, FAR)
            if floor or not shop:
                canvas.flank(side, (depths[column], depths[column + 1]), ups, pane, FAR)
    if shop:
        canvas.flank(side, (depths[1], depths[8]), (0, 2.5), canvas.pick((inks["hull"], inks["metal"])), FAR)
        canvas.flank(side - hand * 0.4, (far, near), (2.5, 3.7), inks["board"], ROADSIDE)
        canvas.flank(side - hand * 0.4, (depths[2], depths[7]), (2.9, 3.3), inks["white"], ROADSIDE)


def _tree(canvas: Canvas, side: float, near: float, size: float) -> None:
    trunk = [canvas.at(side + x * size, near, y * size) for x, y in ((-0.2, 0), (0.2, 0), (0.13, 3), (-0.13, 3))]
    canvas.area(trunk, (84, 66, 52), FAR, near, 60)
    for number in range(9):
        sway, up, radius = canvas.between(-1.5, 1.5), canvas.between(2.3, 5), canvas.between(0.7, 1.3)
        percent = 62 + number * 5 + (14 if canvas.look.sun * sway < 0 else 0)
        canvas.leaves(side + sway * size, near, up * size, radius * size, percent)


def _posts(canvas: Canvas, hand: int, edge: float, outer: float) -> None:
    for _ in range(canvas.pick((1, 2, 3, 4))):
        name, near = canvas.pick(canvas.look.place.posts), canvas.near(canvas.between(4.5, 22))
        side = {"billboard": outer + 2.5, "barricade": edge - 0.8}.get(name, canvas.between(edge + 0.3, outer + 0.4))
        canvas.later(near, canvas.stand, name, hand * side, near, canvas.inks(), -1.1 * hand)


def _living(canvas: Canvas, hand: int, edge: float, outer: float) -> None:
    """People and animals: most beside the road, some on it, some riding."""
    for _ in range(canvas.pick(range(canvas.look.place.crowd + 1))):
        name, near, inks = canvas.pick(canvas.look.place.living), canvas.near(canvas.between(4.5, 12)), canvas.inks()
        side = hand * canvas.between(edge - 2, outer)
        if name == "rider":
            side = hand * canvas.between(0.3, 0.9) * canvas.look.half_road
            inks["lamp"] = TAIL_LAMP if hand < 0 else HEAD_LAMP
            canvas.later(near, canvas.stand, "motorcycle", side, near, inks, 1.1)
        canvas.later(near * 0.99, _shadow, canvas, side, near, 0.4)
        canvas.later(near, canvas.stand, name, side, near, inks, canvas.pick((-1.15, 1.15)))


def _traffic(canvas: Canvas) -> None:
    """Vehicles; they keep left, so that one on the right shows its head lamps."""
    taken: list[Pair] = []
    for _ in range(canvas.pick(range(2, canvas.look.place.jam + 2))):
        name, metres = canvas.pick(canvas.look.place.traffic), canvas.between(5, 28)
        lane = {"truck": -1, "lorry": 1}.get(name, canvas.pick((-1, 1)))  # a truck seen from behind, from the front
        side, near = lane * canvas.between(0.1, 1) * (canvas.look.half_road + 0.2), canvas.near(metres)
        if any(abs(side - other) < 2 and abs(metres - there) < 7 for other, there in taken):
            continue
        taken.append((side, metres))
        lamp = TAIL_LAMP if lane < 0 else HEAD_LAMP
        canvas.later(near * 0.99, _shadow, canvas, side, near, 1.1)
        canvas.later(near, canvas.stand, name, side, near, canvas.inks() | {"lamp": lamp})


def _shadow(canvas: Canvas, side: float, near: float, metres: float) -> None:
    radius = metres * canvas.metre * near
    canvas.oval(canvas.at(side, near), (radius, 0.15 * radius), tone(canvas.look.road, 45), None, near)


def _photograph(canvas: Canvas) -> np.ndarray:
    """What the camera makes of it: light, roughness, blur and noise; uint8 (HEIGHT, WIDTH, 3)."""
    look, rng = canvas.look, canvas.rng
    *channels, alpha = canvas.image.split()
    channels = [
        channel.point([min(255, v * light >> 8) for v in range(256)])
        for channel, light in zip(channels, look.light, strict=True)
    ]
    rough = (blotches(rng, 114, 160) * 5 + blotches(rng, 60, 40) * 3 >> 3) - 128
    light = 232 + blotches(rng, 2, 2) // 5 + int(canvas.between(-20, 20))
    bright = (512 + (rough * np.asarray(alpha) * 3 >> 8)) * light >> 9
    lit = np.asarray(Image.merge("RGB", channels)) * bright[:, :, None] >> 8
    blurred = Image.fromarray(np.minimum(lit, 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(look.softness))
    noise = rng.integers(-look.noise, look.noise + 1, (HEIGHT, WIDTH, 3), dtype=np.int16)
    return np.clip(np.asarray(blurred) + noise, 0, 255).astype(np.uint8)


def _with_void(mask: np.ndarray, rng: Rng) -> np.ndarray:
    """Make a few pixels along borders void in two masks of three, as where annotators left gaps."""
    border = np.argwhere(mask[:, 1:] != mask[:, :-1])
    for row, column in border[rng.integers(len(border), size=(0, 3, 3)[int(rng.integers(3))])]:
        window = mask[row : row + 12, max(column - 4, 0) : column + 5]
        window[:, 1:][window[:, 1:] != window[:, :-1]] = VOID
    return mask
