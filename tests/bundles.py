"""Models small enough for a test, as bundles."""

from pathlib import Path

import keras
import numpy as np

from roadseg.contracts.bundle import SAMPLES, Bundle, write_bundle
from roadseg.contracts.classes import ClassTable

HEIGHT, WIDTH = 32, 64


def convolution(folder: Path, classes: ClassTable, kernel: np.ndarray, bias: np.ndarray, **card: object) -> Bundle:
    """A bundle of one convolution of uint8 pixels in 0..1."""
    image = keras.Input((None, None, 3), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 255, name="scale")(image)
    x = keras.layers.Conv2D(len(bias), kernel.shape[:2], padding="same", name="logits")(x)
    model = keras.Model(image, x, name="tiny")
    model.set_weights([kernel, bias])
    known = {"height": HEIGHT, "width": WIDTH, "stride": 1, "classes": classes.content, "output": "logits"}
    write_bundle(folder, model, known | card, SAMPLES.empty_table())
    return Bundle.open(folder)


def painter(folder: Path, classes: ClassTable, sure: float = 1.0, **card: object) -> Bundle:
    """A bundle that knows each class by its colour in the table: the nearest colour wins, by how much `sure` says."""
    colours = classes.palette[: classes.count] / 255
    return convolution(folder, classes, 2 * sure * colours.T[None, None], -sure * (colours**2).sum(1), **card)
