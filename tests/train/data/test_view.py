import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from roadseg.train.data.view import WHOLE, View, ViewRecipe, apply, centred, random_view

seeds = st.integers(0, 2**32 - 1)
crops = st.floats(0.3, 1)
aspects = st.floats(0, 0.3)
sides = st.integers(1, 20)


def view_of(rng: np.random.Generator, crop_min: float, aspect: float, colour: float) -> View:
    recipe = ViewRecipe(crop_min=crop_min, aspect=aspect, colour=colour, uniform=0, randaugment=0)
    return random_view(recipe, rng, np.random.default_rng(0))


def interior(mask: np.ndarray, radius: int) -> np.ndarray:
    """Where a mask is flat for `radius` pixels around; a crop's edge blends with what lies outside."""
    padded = np.pad(mask, radius, constant_values=255)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * radius + 1, 2 * radius + 1))
    return windows.min((-1, -2)) == windows.max((-1, -2))


@settings(max_examples=60)
@given(seeds, crops, aspects, st.sampled_from([(64, 128), (48, 96)]), st.sampled_from([1, 2]))
def test_image_and_mask_are_seen_through_the_same_view(
    seed: int, crop_min: float, aspect: float, size: tuple[int, int], reduction: int
) -> None:
    ids = np.kron(np.random.default_rng(seed).integers(0, 7, (2, 4)), np.ones((32, 32))).astype(np.uint8)
    image = np.repeat(30 * ids[..., None], 3, axis=-1)
    view = view_of(np.random.default_rng(seed), crop_min, aspect, colour=0)
    seen, mask = apply(view, image, ids, size, (size[0] // reduction, size[1] // reduction))
    full = np.kron(mask, np.ones((reduction, reduction), np.uint8))
    left, top, right, bottom = view.box
    zoom = max(size[0] / (64 * (bottom - top)), size[1] / (128 * (right - left)), 1)  # bilinear looks a pixel away
    flat = interior(full, int(np.ceil(zoom)) + reduction)
    assert flat.any()
    np.testing.assert_array_equal(seen[flat], np.repeat(30 * full[flat][:, None], 3, axis=-1))


@settings(deadline=None)
@given(arrays(np.uint8, (8, 12)), seeds, crops, aspects, sides, sides)
def test_no_id_appears_that_was_not_there(
    mask: np.ndarray, seed: int, crop_min: float, aspect: float, height: int, width: int
) -> None:
    view = view_of(np.random.default_rng(seed), crop_min, aspect, colour=0.5)
    _, seen = apply(view, np.zeros((8, 12, 3), np.uint8), mask, (16, 16), (height, width))
    assert seen.shape == (height, width)
    assert set(seen.ravel()) <= set(mask.ravel())


@given(arrays(np.uint8, (6, 10, 3)), arrays(np.uint8, (6, 10)))
def test_the_whole_view_at_the_same_size_changes_nothing(image: np.ndarray, mask: np.ndarray) -> None:
    seen, ids = apply(WHOLE, image, mask, (6, 10), (6, 10))
    np.testing.assert_array_equal(seen, image)
    np.testing.assert_array_equal(ids, mask)


@given(seeds, st.floats(0.01, 1, exclude_max=True))
def test_colour_leaves_masks_alone(seed: int, colour: float) -> None:
    rng = np.random.default_rng(seed)
    image, mask = rng.integers(0, 256, (8, 12, 3), np.uint8), rng.integers(0, 256, (8, 12), np.uint8)
    plain, coloured = (
        apply(view_of(np.random.default_rng(seed), 0.5, 0.1, strength), image, mask, (8, 12), (8, 12))
        for strength in (0, colour)
    )
    np.testing.assert_array_equal(plain[1], coloured[1])


def test_colour_changes_images() -> None:
    grey, mask = np.full((8, 12, 3), 100, np.uint8), np.zeros((8, 12), np.uint8)
    rng = np.random.default_rng(0)
    seen = {apply(view_of(rng, 1, 0, 0.5), grey, mask, (8, 12), (8, 12))[0][0, 0].tobytes() for _ in range(10)}
    assert len(seen) > 5


def test_both_mirrors_are_drawn() -> None:
    rng = np.random.default_rng(0)
    assert {view_of(rng, 1, 0, 0).flip for _ in range(30)} == {False, True}


@given(seeds, crops, aspects)
def test_a_crop_stays_inside_and_keeps_its_least_size(seed: int, crop_min: float, aspect: float) -> None:
    left, top, right, bottom = view_of(np.random.default_rng(seed), crop_min, aspect, 0.2).box
    assert 0 <= left < right <= 1 + 1e-9
    assert 0 <= top < bottom <= 1 + 1e-9
    assert min(right - left, bottom - top) >= crop_min * (1 - aspect) - 1e-9


@given(arrays(np.uint8, (9, 14), elements=st.integers(0, 3)), seeds, crops, aspects, st.floats(0, 1, exclude_max=True))
def test_a_centred_crop_keeps_its_size_and_shows_the_class(
    mask: np.ndarray, seed: int, crop_min: float, aspect: float, pixel: float
) -> None:
    shown = int(mask[4, 7])
    view = view_of(np.random.default_rng(seed), crop_min, aspect, colour=0.2)
    moved = centred(view, mask, shown, pixel)
    old, (left, top, right, bottom) = view.box, moved.box
    np.testing.assert_allclose([right - left, bottom - top], [old[2] - old[0], old[3] - old[1]])
    assert left >= 0
    assert top >= 0
    assert max(right, bottom) <= 1 + 1e-9
    row, column = np.argwhere(mask == shown)[int(pixel * (mask == shown).sum())]
    x, y = (column + 0.5) / 14, (row + 0.5) / 9
    assert left < x < right
    assert top < y < bottom
    if right < 1 - 1e-9 and left > 0:
        assert (left + right) / 2 == pytest.approx(x)
    if bottom < 1 - 1e-9 and top > 0:
        assert (top + bottom) / 2 == pytest.approx(y)
    assert (moved.flip, moved.gain is view.gain, moved.offset is view.offset) == (view.flip, True, True)
