"""A data set of generated road scenes, laid out on disk as IDD Lite is."""

import json
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from roadseg.synthetic.canvas import mix, tone
from roadseg.synthetic.looks import Colour, Look, Place, Rng
from roadseg.synthetic.scenes import draw_scene

SCHEMA = "roadseg/synthetic/1"
GENERATOR = 1  # goes up when equal arguments give other files than before
SPLITS = ("train", "val", "test")
FRAMES_PER_DRIVE = 8

T = TypeVar("T")

PLACES = (
    Place(  # town
        half_road=(3.2, 5.5),
        verges=("paved", "paved", "paved", "grass", "none"),
        backdrops=("houses", "houses", "shops", "wall", "fence", "trees"),
        traffic=("car", "car", "van", "rickshaw", "bus", "truck"),
        posts=("lamppost", "pole", "ring", "warning", "direction", "billboard"),
        living=("walker", "walker", "sari", "rider"),
        crowd=2,
        jam=5,
        median=25,
    ),
    Place(  # bazaar
        half_road=(2.8, 4.5),
        verges=("paved", "paved", "none", "grass"),
        backdrops=("shops", "shops", "shops", "houses", "wall"),
        traffic=("rickshaw", "rickshaw", "car", "van", "truck"),
        posts=("pole", "pole", "lamppost", "barricade", "ring", "billboard"),
        living=("walker", "walker", "sari", "sari", "rider", "cow"),
        crowd=3,
        jam=5,
        median=0,
    ),
    Place(  # village
        half_road=(2.4, 4.0),
        verges=("grass", "grass", "grass", "none"),
        backdrops=("trees", "trees", "field", "wall", "houses", "fence"),
        traffic=("car", "rickshaw", "truck", "lorry", "bus"),
        posts=("pole", "pole", "milestone", "warning", "billboard"),
        living=("walker", "sari", "rider", "cow"),
        crowd=2,
        jam=3,
        median=0,
    ),
    Place(  # highway
        half_road=(4.0, 7.0),
        verges=("grass", "grass", "paved"),
        backdrops=("rail", "rail", "field", "trees", "wall", "fence"),
        traffic=("car", "car", "truck", "lorry", "bus", "van"),
        posts=("lamppost", "direction", "billboard", "warning", "milestone", "barricade"),
        living=("walker", "walker", "sari", "rider"),
        crowd=2,
        jam=6,
        median=60,
    ),
)

# The sky at the top and at the horizon, the light, percent of clouds, haze, whether the sun throws shadows.
SKIES: tuple[tuple[Colour, Colour, Colour, int, float, bool], ...] = (
    ((84, 142, 212), (190, 214, 236), (264, 260, 250), 25, 0.25, True),  # clear
    ((110, 160, 214), (214, 226, 236), (258, 256, 250), 60, 0.3, True),  # fair
    ((150, 178, 206), (250, 228, 196), (266, 248, 222), 25, 0.5, True),  # morning
    ((126, 134, 178), (246, 196, 152), (250, 222, 194), 45, 0.4, True),  # evening
    ((176, 180, 186), (216, 216, 216), (236, 240, 246), 60, 0.45, False),  # overcast
    ((216, 218, 218), (238, 236, 230), (250, 248, 242), 10, 0.9, False),  # haze
    ((136, 144, 154), (178, 182, 186), (204, 212, 224), 70, 0.7, False),  # rain
    ((72, 84, 128), (196, 150, 146), (178, 180, 200), 40, 0.4, False),  # dusk
)
WEATHER = (0, 4, 2, 1, 6, 5, 3, 0, 1, 4, 7)  # places in SKIES, in the order of the drives; fine days are more frequent
ROADS: tuple[Colour, ...] = ((92, 92, 96), (112, 110, 108), (74, 76, 82), (136, 130, 122))
ROADS += ((150, 148, 146), (104, 92, 80))
EARTHS: tuple[Colour, ...] = ((156, 128, 98), (148, 106, 76), (130, 118, 102), (176, 154, 122))
GRASSES: tuple[Colour, ...] = ((142, 146, 84), (110, 134, 70), (170, 156, 104), (96, 122, 64))
PAVINGS: tuple[Colour, ...] = ((168, 160, 150), (178, 128, 108), (148, 148, 150), (190, 176, 146), (160, 110, 96))
LEAVES: tuple[Colour, ...] = ((84, 122, 56), (66, 104, 54), (112, 124, 62), (58, 96, 66), (124, 116, 60))
HOUSES: tuple[Colour, ...] = ((206, 196, 178), (184, 178, 172), (226, 220, 208), (150, 148, 148), (206, 160, 120))
HOUSES += ((150, 186, 190), (214, 184, 110), (190, 134, 120), (128, 116, 108), (180, 196, 160), (222, 176, 176))
CURBS: tuple[tuple[Colour, Colour], ...] = (((38, 38, 40), (230, 228, 220)), ((40, 40, 40), (232, 192, 50)))
CURBS += (((170, 168, 164), (150, 148, 146)),)


def generate(
    destination: Path, *, train: int, val: int, test: int, seed: int, progress: Callable[[], None] | None = None
) -> None:
    """Write generated scenes in the layout of IDD Lite, and synthetic.json, by which they are known as such.

    An image is the same in a small set and in a large one, and equal arguments give equal bytes. A drive has
    FRAMES_PER_DRIVE images of one look. synthetic.json is written last: a folder without it is not finished.

    Args:
        destination: a folder that is empty or does not exist.
        train, val, test: numbers of images; test gets no masks.
        seed: zero or more.
        progress: called after each image.

    Raises:
        ValueError: the destination is not an empty folder, or a number is below zero.
    """
    counts = {"train": train, "val": val, "test": test}
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise ValueError(f"{destination}: is not an empty folder; name another, or empty it first")
    for name, number in {**counts, "seed": seed}.items():
        if number < 0:
            raise ValueError(f"{name} is {number}: it must be zero or more")
    for split, count in counts.items():
        for index in range(count):
            _write_frame(destination, split, *divmod(index, FRAMES_PER_DRIVE), seed)
            if progress is not None:
                progress()
    made_with = {"schema": SCHEMA, "generator": GENERATOR, "seed": seed, **counts}
    destination.mkdir(parents=True, exist_ok=True)
    text = json.dumps(made_with, indent=2, sort_keys=True) + "\n"
    (destination / "synthetic.json").write_text(text, encoding="utf-8")


def _write_frame(destination: Path, split: str, drive: int, frame: int, seed: int) -> None:
    place = (SPLITS.index(split), drive)
    of_drive = _rng(seed, place)
    look = _look(drive, of_drive)
    image, mask = draw_scene(look, _rng(seed, (*place, frame)))
    name = str(1 + len(SPLITS) * drive + place[0])  # no drive is in two splits
    style, step = _pick(of_drive, ("{:06d}", "{:07d}", "frame{}")), int(of_drive.integers(5, 120))
    number = style.format(int(of_drive.integers(90_000)) + step * frame)
    picture = destination / "leftImg8bit" / split / name / f"{number}_image.jpg"
    picture.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(picture, quality=92)
    if split != "test":
        label = destination / "gtFine" / split / name / f"{number}_label.png"
        label.parent.mkdir(parents=True, exist_ok=True)
        # Run lengths only: the search for longer matches differs between processors in zlib-ng.
        Image.fromarray(mask).save(label, compress_type=zlib.Z_RLE)


def _look(drive: int, rng: Rng) -> Look:
    """Draw what the frames of one drive share; place and sky take turns, so that few drives show them all."""
    place = PLACES[drive % len(PLACES)]
    top, low, light, clouds, haze, sunny = SKIES[WEATHER[drive % len(WEATHER)]]
    road, grey = _pick(rng, ROADS), int(rng.integers(80, 116))
    return Look(
        place=place,
        horizon=0.3 + 0.26 * float(rng.random()),
        camera=1.25 + 0.9 * float(rng.random()),
        half_road=place.half_road[0] + (place.half_road[1] - place.half_road[0]) * float(rng.random()),
        shoulder=_pick(rng, (0.0, 0.0, 0.6, 1.2, 2.0)),
        sky=(top, low),
        clouds=clouds + int(rng.integers(-20, 21)),
        light=light,
        haze=haze * (0.5 + float(rng.random())),
        sun=_pick(rng, (-1, 1)) if sunny else 0,
        road=tone(road, grey),
        earth=_pick(rng, EARTHS),
        grass=tone(_pick(rng, GRASSES), int(rng.integers(85, 112))),
        paving=tone(_pick(rng, PAVINGS), int(rng.integers(80, 112))),
        leaf=mix(_pick(rng, LEAVES), _pick(rng, LEAVES), float(rng.random())),
        houses=tuple(_pick(rng, HOUSES) for _ in range(5)),
        curb=_pick(rng, CURBS),
        lines=int(rng.integers(3)),
        marking=_pick(rng, ((222, 222, 218), (196, 196, 192), (220, 180, 70))),
        softness=0.2 + 0.4 * float(rng.random()),
        noise=int(rng.integers(2, 7)),
    )


def _rng(seed: int, key: tuple[int, ...]) -> Rng:
    """The generator of a drive (split, drive) or a frame (split, drive, frame): a child of the seed's own."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def _pick(rng: Rng, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]
