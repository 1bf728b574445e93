import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from roadseg.train.data.randaugment import (
    COLOURS,
    GREY,
    MAX_MAGNITUDE,
    MOVES,
    NAMES,
    VOID,
    Change,
    change,
    random_changes,
)

seeds = st.integers(0, 2**32 - 1)
strengths = st.floats(-1, 1)
PAINT = np.full(256, GREY, np.uint8)  # each class has a grey of its own; void has that of what comes in
PAINT[:7] = 30 * np.arange(7)


def changes_of(names: list[str]) -> st.SearchStrategy[tuple[Change, ...]]:
    return st.lists(st.tuples(st.sampled_from(names), strengths), min_size=1, max_size=3).map(tuple)


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An image painted from its mask, in which some is void."""
    ids = np.random.default_rng(seed).choice([*range(7), VOID], (2, 4))
    mask = np.kron(ids, np.ones((32, 32), np.uint8)).astype(np.uint8)
    return np.repeat(PAINT[mask][..., None], 3, axis=-1), mask


def flat(mask: np.ndarray, radius: int = 2) -> np.ndarray:
    """Where a mask is alike for `radius` pixels around; an edge blends with what went out of the picture."""
    padded = np.pad(mask, radius, constant_values=VOID - 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * radius + 1,) * 2)
    return np.asarray(windows.min((-1, -2)) == windows.max((-1, -2)))


@settings(max_examples=150, deadline=None)
@given(seeds, st.sampled_from([*MOVES]), strengths)
def test_the_moved_mask_is_what_the_moved_image_shows(seed: int, name: str, strength: float) -> None:
    """One move: behind another, what is left of an edge at the picture's border may have come into its middle."""
    image, mask = change(((name, strength),), *scene(seed))
    inside = flat(mask)  # bilinear looks a pixel further
    np.testing.assert_array_equal(image[inside], np.repeat(PAINT[mask][inside][:, None], 3, axis=-1))


@settings(deadline=None)
@given(seeds, changes_of([*NAMES]))
def test_several_changes_are_one_after_the_other(seed: int, changes: tuple[Change, ...]) -> None:
    image, mask = scene(seed)
    together = change(changes, image, mask)
    for each in changes:
        image, mask = change((each,), image, mask)
    np.testing.assert_array_equal(together[0], image)
    np.testing.assert_array_equal(together[1], mask)


@settings(deadline=None)
@given(seeds, changes_of([*MOVES]))
def test_a_mask_of_half_the_size_moves_with_it(seed: int, changes: tuple[Change, ...]) -> None:
    image, mask = scene(seed)
    _, whole = change(changes, image, mask)
    _, half = change(changes, image, mask[::2, ::2])
    doubled = half.repeat(2, 0).repeat(2, 1)
    inside = flat(whole, 2 * len(changes)) & flat(doubled, 2 * len(changes))
    np.testing.assert_array_equal(doubled[inside], whole[inside])


@settings(deadline=None)
@given(arrays(np.uint8, (9, 14)), changes_of([*NAMES]))
def test_no_id_appears_that_was_not_there_but_void(mask: np.ndarray, changes: tuple[Change, ...]) -> None:
    image, ids = change(changes, np.zeros((18, 28, 3), np.uint8), mask)
    assert (image.shape, image.dtype, ids.shape, ids.dtype) == ((18, 28, 3), np.uint8, (9, 14), np.uint8)
    assert set(ids.ravel()) <= {*mask.ravel(), VOID}


@settings(deadline=None)
@given(arrays(np.uint8, (6, 10, 3)), arrays(np.uint8, (6, 10)), changes_of([*COLOURS]))
def test_colours_leave_the_mask_alone(image: np.ndarray, mask: np.ndarray, changes: tuple[Change, ...]) -> None:
    _, ids = change(changes, image, mask)
    np.testing.assert_array_equal(ids, mask)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"identity"}))
def test_every_operation_does_something(name: str) -> None:
    image = np.random.default_rng(0).integers(40, 200, (32, 64, 3), np.uint8)
    seen, _ = change(((name, 0.9),), image, np.zeros((32, 64), np.uint8))
    assert not np.array_equal(seen, image)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"autocontrast", "equalize"}))
def test_no_strength_is_no_change(name: str) -> None:
    image, mask = scene(1)
    seen, ids = change(((name, 0.0),), image, mask)
    np.testing.assert_array_equal(seen, image)
    np.testing.assert_array_equal(ids, mask)


@pytest.mark.parametrize("strength", [1.0, -1.0])
def test_a_translation_brings_in_void(strength: float) -> None:
    mask = np.zeros((50, 100), np.uint8)
    _, ids = change((("translate_x", strength),), np.zeros((50, 100, 3), np.uint8), mask)
    outside = np.zeros_like(mask, bool)
    outside[:, 55:] = strength > 0
    outside[:, :45] = strength < 0
    np.testing.assert_array_equal(ids == VOID, outside)


def test_a_rotation_is_that_of_pillow() -> None:
    image, mask = scene(3)
    _, ids = change((("rotate", 0.5),), image, mask)
    turned = np.asarray(Image.fromarray(mask).rotate(-15, Image.Resampling.NEAREST, fillcolor=VOID))
    both = flat(ids) & flat(turned)
    assert both.mean() > 0.5
    np.testing.assert_array_equal(ids[both], turned[both])


@given(seeds, st.floats(0.1, MAX_MAGNITUDE))
def test_changes_have_one_strength_and_both_directions(seed: int, magnitude: float) -> None:
    drawn = random_changes(np.random.default_rng(seed), magnitude)
    assert len(drawn) == 2
    assert all(name in NAMES and abs(strength) == magnitude / MAX_MAGNITUDE for name, strength in drawn)


def test_every_operation_is_drawn() -> None:
    rng = np.random.default_rng(0)
    drawn = [each for _ in range(200) for each in random_changes(rng, 5)]
    assert {name for name, _ in drawn} == set(NAMES)
    assert {strength for _, strength in drawn} == {0.5, -0.5}


def test_magnitude_0_draws_nothing() -> None:
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert random_changes(rng, 0) == ()
    assert rng.bit_generator.state == before
