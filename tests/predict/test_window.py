"""The sliding window against a slow reference, and against the plain path where it is one window."""

import math
import tracemalloc
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from roadseg.contracts.bundle import Bundle
from roadseg.imaging.pixels import resize_image
from roadseg.predict.predictor import Predictor

SIZES = [(32, 64), (50, 90), (90, 50), (130, 260)]
HEIGHT, WIDTH = 32, 64  # of the bundles


def noise(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


def scores(predictor: Predictor, image: np.ndarray) -> np.ndarray:
    [found] = predictor._at_full_size([image], np.asarray)
    return found


def framed(bundle: Bundle, **card: Any) -> Bundle:
    return replace(bundle, card=bundle.card | card)


def starts(length: int, side: int, overlap: float) -> list[int]:
    number = math.ceil(round((length - side) / (side * (1 - overlap)), 6)) + 1
    return [math.floor(start) for start in np.linspace(0, length - side, number)]


def slow(bundle: Bundle, image: np.ndarray, scale: float, overlap: float, flip: bool) -> np.ndarray:
    """Score every window alone, then take the mean of each pixel's windows, one pixel at a time."""
    grid, model = max(1, bundle.card.get("tile", 0)), bundle.load()
    tall, wide = int(grid * scale * HEIGHT), int(grid * scale * WIDTH)
    y0, x0, y1, x1 = 0, 0, tall, wide
    if bundle.card.get("aspect") == "pad":
        fit = min(tall / image.shape[0], wide / image.shape[1])
        high, broad = round(fit * image.shape[0]), round(fit * image.shape[1])
        y0, x0 = (tall - high) // 2, (wide - broad) // 2
        y1, x1 = y0 + high, x0 + broad
    canvas = np.zeros((tall, wide, 3), np.uint8)
    canvas[y0:y1, x0:x1] = resize_image(image, y1 - y0, x1 - x0)
    answers: list[list[list[np.ndarray]]] = [[[] for _ in range(wide)] for _ in range(tall)]
    for top in starts(tall, HEIGHT, overlap):
        for left in starts(wide, WIDTH, overlap):
            window = canvas[None, top : top + HEIGHT, left : left + WIDTH]
            answer = model.predict_on_batch(window)[0]
            if flip:
                answer = (answer + model.predict_on_batch(window[:, :, ::-1])[0, :, ::-1]) / 2
            for y, x in np.ndindex(HEIGHT, WIDTH):
                answers[top + y][left + x].append(answer[y, x])
    mean = np.array([[np.mean(answers[y][x], 0) for x in range(x0, x1)] for y in range(y0, y1)], np.float32)
    return np.asarray(keras.ops.image.resize(mean, image.shape[:2], interpolation="bilinear"))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    ("card", "scale", "overlap", "flip"),
    [
        ({}, 2.0, 0.5, False),
        ({}, 1.5, 0.25, True),
        ({"tile": 2}, 1.0, 0.5, True),
        ({"aspect": "pad"}, 2.0, 0.5, False),
        ({"aspect": "pad", "tile": 2}, 1.25, 0.25, False),
    ],
    ids=str,
)
def test_windows_score_as_the_slow_reference(
    leaner: Bundle, size: tuple[int, int], card: dict[str, Any], scale: float, overlap: float, flip: bool
) -> None:
    bundle, image = framed(leaner, **card), noise(size)
    expected = slow(bundle, image, scale, overlap, flip)
    found = scores(Predictor(bundle, batch=3, scales=[scale], overlap=overlap, flip=flip), image)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    whole = scores(Predictor(bundle, batch=3, scales=[scale], flip=flip), image)
    assert not np.allclose(whole, expected, atol=1e-3)  # the window's edges are seen


@pytest.mark.parametrize("card", [{}, {"aspect": "pad"}], ids=str)
@pytest.mark.parametrize("scale", [0.5, 1.0])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_one_window_is_the_plain_path(
    leaner: Bundle, size: tuple[int, int], scale: float, card: dict[str, Any]
) -> None:
    bundle, image = framed(leaner, **card), noise(size)
    plain, window = (Predictor(bundle, batch=2, scales=[scale], flip=True, overlap=overlap) for overlap in (0, 0.5))
    np.testing.assert_array_equal(scores(plain, image), scores(window, image))


def test_scales_are_averaged_with_windows_too(leaner: Bundle) -> None:
    image = noise((50, 90))
    one, two, both = (
        scores(Predictor(leaner, batch=2, scales=scales, overlap=0.5), image) for scales in ([1.0], [2.0], [1.0, 2.0])
    )
    np.testing.assert_allclose(both, (one + two) / 2, atol=1e-5)


def test_the_model_sees_the_working_size_whatever_the_scale(leaner: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor, seen = Predictor(leaner, batch=4, scales=[3.0], overlap=0.5), []
    predict = predictor._predict
    monkeypatch.setattr(predictor, "_predict", lambda batch: seen.append(batch.shape) or predict(batch))
    list(predictor([noise((130, 260))] * 2))
    assert {shape[1:3] for shape in seen} == {(HEIGHT, WIDTH)}
    assert max(shape[0] for shape in seen) == 4
    assert sum(shape[0] for shape in seen) == 2 * 25  # windows


def test_no_more_windows_than_a_batch_are_in_memory(leaner: Bundle) -> None:
    predictor, image = Predictor(leaner, batch=2, scales=[4.0], overlap=0.75), noise((32, 64))
    list(predictor([image]))  # what is loaded once is loaded
    tracemalloc.start()
    list(predictor([image]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    scores_of_all_windows = 169 * 4 * 7 * HEIGHT * WIDTH
    assert peak < scores_of_all_windows / 2
