from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.classes import ClassTable
from roadseg.predict.predictor import Predictor

SIZES = [(32, 64), (227, 320), (48, 50), (7, 90), (32, 64), (120, 33), (1, 1)]


def noise(seed: int, sizes: list[tuple[int, int]] = SIZES) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]


def test_known_colours_come_back_as_their_classes(painter: Bundle, idd_level1: ClassTable) -> None:
    truth = np.kron(np.arange(6).reshape(2, 3), np.ones((60, 80), np.uint8))
    [mask] = Predictor(painter, batch=1)([idd_level1.palette[truth]])
    rows, columns = (np.abs(np.arange(n)[:, None] - edges).min(1) >= 8 for n, edges in ((120, [60]), (240, [80, 160])))
    away_from_edges = np.outer(rows, columns)
    np.testing.assert_array_equal(mask[away_from_edges], truth[away_from_edges])


@pytest.mark.parametrize("size", [(120, 240), (240, 60)])
def test_padding_and_tiles_leave_every_class_where_it_is(
    framed_painter: Bundle, idd_level1: ClassTable, size: tuple[int, int]
) -> None:
    truth = np.kron(np.arange(6).reshape(2, 3), np.ones((size[0] // 2, size[1] // 3), np.uint8))
    [mask] = Predictor(framed_painter, batch=2)([idd_level1.palette[truth]])
    edges = ([size[0] // 2], [size[1] // 3, 2 * size[1] // 3])
    away = [np.abs(np.arange(side)[:, None] - at).min(1) >= side // 8 for side, at in zip(size, edges, strict=True)]
    inside = np.outer(*away)
    assert inside.mean() > 0.3
    np.testing.assert_array_equal(mask[inside], truth[inside])


def test_tiles_show_what_a_frame_scaled_to_one_tile_hides(
    make_bundle: Callable[..., Bundle], tmp_path: Path, idd_level1: ClassTable
) -> None:
    colours = idd_level1.palette[: idd_level1.count] / 255
    weights = (2 * colours.T[None, None], -(colours**2).sum(1))
    truth = (np.indices((128, 256)).sum(0) // 4 % 2 * 6).astype(np.uint8)  # stripes of four pixels
    right = []
    for tile in (0, 4):
        bundle = make_bundle(tmp_path / str(tile), *weights, tile=tile)
        [mask] = Predictor(bundle, batch=3)([idd_level1.palette[truth]])
        right.append((mask == truth).mean())
    assert right[0] < 0.8
    assert right[1] == 1


@pytest.mark.parametrize("flip", [False, True])
def test_the_batch_changes_nothing_with_tiles_either(framed_painter: Bundle, flip: bool) -> None:
    one, *others = (list(Predictor(framed_painter, batch=batch, flip=flip)(noise(1))) for batch in (1, 4, 50))
    for masks in others:
        assert all(np.array_equal(*pair) for pair in zip(one, masks, strict=True))


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(7)), st.integers(1, 4))
def test_masks_come_in_order_each_at_its_image_s_size(
    painter: Bundle, idd_level1: ClassTable, ids: list[int], batch: int
) -> None:
    images = [
        np.full((*size, 3), idd_level1.palette[number], np.uint8) for size, number in zip(SIZES, ids, strict=True)
    ]
    masks = list(Predictor(painter, batch=batch)(images))
    assert [mask.shape for mask in masks] == SIZES
    assert [set(mask.ravel()) for mask in masks] == [{number} for number in ids]
    assert {mask.dtype for mask in masks} == {np.dtype(np.uint8)}


@pytest.mark.parametrize("flip", [False, True])
def test_the_batch_changes_nothing(leaner: Bundle, flip: bool) -> None:
    one, *others = (list(Predictor(leaner, batch=batch, flip=flip)(noise(1))) for batch in (1, 3, 50))
    for masks in others:
        assert all(np.array_equal(*pair) for pair in zip(one, masks, strict=True))


def test_a_stream_is_read_a_batch_at_a_time(painter: Bundle) -> None:
    taken = 0

    def stream() -> Iterator[np.ndarray]:
        nonlocal taken
        for image in noise(0):
            taken += 1
            yield image

    masks = Predictor(painter, batch=2)(stream())
    next(masks)
    assert taken == 2


def test_with_flip_left_and_right_are_treated_alike(leaner: Bundle) -> None:
    images = noise(2, [(32, 64)] * 2)
    mirrored = [image[:, ::-1] for image in images]
    plain, averaged = (Predictor(leaner, batch=2, flip=flip) for flip in (False, True))
    for mask, other in zip(averaged(images), averaged(mirrored), strict=True):
        np.testing.assert_array_equal(mask, other[:, ::-1])
    assert any((mask != other[:, ::-1]).any() for mask, other in zip(plain(images), plain(mirrored), strict=True))


def test_flip_averages_the_scores(leaner: Bundle) -> None:
    [image] = noise(3, [(32, 64)])
    model = leaner.load()
    straight, mirrored = (model.predict_on_batch(view[None])[0] for view in (image, image[:, ::-1]))
    [mask] = Predictor(leaner, batch=1, flip=True)([image])
    np.testing.assert_array_equal(mask, (straight + mirrored[:, ::-1]).argmax(-1))


@pytest.mark.parametrize("settings_", [{}, {"flip": True}, {"scales": [1.0, 0.5]}], ids=str)
def test_with_confidence_the_masks_are_the_same(leaner: Bundle, settings_: dict[str, Any]) -> None:
    predictor = Predictor(leaner, batch=3, **settings_)
    for mask, (same, confidence) in zip(predictor(noise(4)), predictor.with_confidence(noise(4)), strict=True):
        np.testing.assert_array_equal(mask, same)
        assert (confidence.shape, confidence.dtype) == (mask.shape, np.dtype(np.float32))
        assert confidence.min() >= 1 / 7 - 1e-6
        assert confidence.max() <= 1


def test_the_confidence_is_the_softmax_of_the_averaged_scores(leaner: Bundle) -> None:
    [image] = noise(3, [(32, 64)])
    model = leaner.load()
    straight, mirrored = (model.predict_on_batch(view[None])[0] for view in (image, image[:, ::-1]))
    scores = ((straight + mirrored[:, ::-1]) / 2).astype(np.float64)
    shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    [(_, confidence)] = Predictor(leaner, batch=1, flip=True).with_confidence([image])
    np.testing.assert_allclose(confidence, shares.max(-1), atol=1e-5)


def test_the_confidence_of_a_model_of_probabilities_is_theirs(
    make_bundle: Callable[..., Bundle], tmp_path: Path, idd_level1: ClassTable
) -> None:
    shares = np.array([0.05, 0.05, 0.4, 0.3, 0.1, 0.05, 0.05])
    bundle = make_bundle(tmp_path, np.zeros((1, 1, 3, 7)), shares, output="probabilities")
    [(mask, confidence)] = Predictor(bundle, batch=1).with_confidence(noise(0, [(40, 70)]))
    assert set(mask.ravel()) == {2}
    np.testing.assert_allclose(confidence, 0.4, atol=1e-6)


@pytest.mark.parametrize("output", ["logits", "probabilities"])
def test_the_probabilities_sum_to_one_and_the_largest_is_the_confidence(
    make_bundle: Callable[..., Bundle], tmp_path: Path, output: str
) -> None:
    rng = np.random.default_rng(0)  # all scores above 0, as probabilities must be
    bundle = make_bundle(tmp_path, rng.random((1, 1, 3, 7)), 0.1 + rng.random(7), output=output)
    predictor = Predictor(bundle, batch=2, flip=True)
    for shares, (mask, confidence) in zip(
        predictor.probabilities(noise(4)), predictor.with_confidence(noise(4)), strict=True
    ):
        assert (shares.shape, shares.dtype) == ((*mask.shape, 7), np.dtype(np.float32))
        np.testing.assert_allclose(shares.sum(-1), 1, atol=1e-5)
        np.testing.assert_array_equal(shares.max(-1), confidence)
        np.testing.assert_array_equal(shares.argmax(-1), mask)


def test_scales_average_the_scores_at_the_image_s_size(leaner: Bundle) -> None:
    images = noise(5, [(32, 64), (50, 90)])
    one, half, both = (
        [next(iter(Predictor(leaner, batch=1, scales=scales)._at_full_size([image], np.asarray))) for image in images]
        for scales in ([1.0], [0.5], [1.0, 0.5])
    )
    for whole, small, mean in zip(one, half, both, strict=True):
        np.testing.assert_allclose(mean, (np.asarray(whole) + np.asarray(small)) / 2, atol=1e-5)
        assert not np.allclose(whole, small, atol=0.1)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5])
def test_a_scaled_working_size_stays_a_multiple_of_the_stride(
    make_bundle: Callable[..., Bundle], tmp_path: Path, scale: float
) -> None:
    bundle = make_bundle(tmp_path, np.zeros((1, 1, 3, 7)), np.zeros(7), stride=16)
    [framing] = Predictor(bundle, batch=1, scales=[scale])._framings
    assert (framing.height, framing.width) == (32 * scale, 64 * scale)
    assert framing.height % 16 == framing.width % 16 == 0
