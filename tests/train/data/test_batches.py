import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import DataRefused
from roadseg.contracts.shards import Shards
from roadseg.train.data.batches import (
    Batch,
    Pairs,
    TrainingBatches,
    ahead,
    split_monitored,
    whole_batches,
)
from roadseg.train.data.view import ViewRecipe
from roadseg.train.step.worker_processes import WorkerProcesses

PLAIN = {"crop_min": 0.5, "aspect": 0.1, "colour": 0.0, "uniform": 0.0, "randaugment": 0.0}
tolerant = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


def batches_of(pairs: Pairs, seed: int = 0, batch: int = 2, reduction: int = 1, **changes: Any) -> TrainingBatches:
    """Changes are of the recipe, or of how the batches are dealt out."""
    recipe = ViewRecipe(**{key: changes.pop(key, value) for key, value in PLAIN.items()})
    return TrainingBatches(pairs, recipe, seed, batch, reduction, **changes)


def epoch(pairs: Pairs, number: int = 1, skip: int = 0, **changes: Any) -> list[Batch]:
    return list(batches_of(pairs, **changes).of_epoch(number, (32, 64), skip))


def tiles(batches: list[Batch]) -> list[int]:
    """Numbers of the tiles: their images are flat, so any view of them tells."""
    return [int(image[0, 0, 0]) // 20 for images, _ in batches for image in images]


def same(one: list[Batch], two: list[Batch]) -> bool:
    arrays = zip(itertools.chain(*one), itertools.chain(*two), strict=True)
    return all(np.array_equal(left, right) for left, right in arrays)


@pytest.fixture
def pairs(shards: Shards) -> Pairs:
    return Pairs.open(shards, shards.drives("train"))


@tolerant
@given(st.integers(0, 2**31), st.integers(1, 1000), st.sampled_from([1, 2]))
def test_equal_seed_and_epoch_give_equal_batches(pairs: Pairs, seed: int, number: int, reduction: int) -> None:
    again = (epoch(pairs, number, seed=seed, reduction=reduction, colour=0.3) for _ in range(2))
    assert same(*again)


def test_another_epoch_or_seed_gives_other_batches(pairs: Pairs) -> None:
    first = epoch(pairs)
    assert not same(first, epoch(pairs, number=2))
    assert not same(first, epoch(pairs, seed=1))


@tolerant
@given(st.integers(0, 2**31), st.integers(1, 9))
def test_every_pair_comes_at_most_once_an_epoch(pairs: Pairs, seed: int, batch: int) -> None:
    batches = epoch(pairs, seed=seed, batch=batch)
    seen = tiles(batches)
    assert len(batches) == batches_of(pairs, batch=batch).steps == 9 // batch
    assert len(seen) == len(set(seen)) == 9 // batch * batch
    assert set(seen) <= set(range(1, 10))


def test_what_does_not_fill_a_batch_comes_in_another_epoch(pairs: Pairs) -> None:
    assert set().union(*(tiles(epoch(pairs, number, batch=5)) for number in range(1, 9))) == set(range(1, 10))


def test_fewer_pairs_than_a_batch_still_give_one_batch(pairs: Pairs) -> None:
    [(images, masks)] = epoch(pairs, batch=20, reduction=2)
    assert images.shape == (20, 32, 64, 3)
    assert masks.shape == (20, 16, 32)
    assert set(tiles([(images, masks)])) == set(range(1, 10))


shares = st.floats(0, 1)
magnitudes = st.sampled_from([0.0, 3.0, 10.0])


@tolerant
@given(st.integers(0, 2**31), shares, magnitudes, st.integers(0, 4))
def test_the_steps_after_a_resume_are_those_of_an_epoch_that_was_not_stopped(
    pairs: Pairs, seed: int, uniform: float, randaugment: float, skip: int
) -> None:
    options = {"seed": seed, "uniform": uniform, "randaugment": randaugment, "colour": 0.2}
    assert same(epoch(pairs, skip=skip, **options), epoch(pairs, **options)[skip:])


@tolerant
@given(st.integers(0, 2**31), shares)
def test_class_uniform_sampling_leaves_the_other_places_their_pair(pairs: Pairs, seed: int, share: float) -> None:
    """A batch of the whole epoch."""
    plain, drawn = (tiles(epoch(pairs, seed=seed, batch=9, uniform=uniform)) for uniform in (0, share))
    assert len(drawn) == 9
    assert sum(one != other for one, other in zip(plain, drawn, strict=True)) <= round(share * 9)


@tolerant
@given(st.integers(0, 2**31))
def test_half_of_class_uniform_crops_show_the_rarer_of_two_classes(pairs: Pairs, seed: int) -> None:
    """One pixel in a corner, where crops seldom come."""
    cornered = {name: (images, np.zeros_like(masks)) for name, (images, masks) in pairs.arrays.items()}
    for _, masks in cornered.values():
        masks[:, 0, 0] = 6
    batches = epoch(replace(pairs, arrays=cornered), seed=seed, batch=9, uniform=1.0, crop_min=0.2)
    assert sum((mask == 6).any() for _, masks in batches for mask in masks) >= 4


@tolerant
@given(st.integers(0, 2**31), st.integers(0, 4), shares)
def test_the_samples_of_a_batch_are_those_that_it_shows(pairs: Pairs, seed: int, step: int, uniform: float) -> None:
    """Whatever the sampling, a bad batch is told by its samples' names."""
    batches = batches_of(pairs, seed=seed, uniform=uniform)
    step %= batches.steps
    shown = tiles(epoch(pairs, number=3, seed=seed, uniform=uniform)[step : step + 1])
    named = batches.samples(3, step)
    assert [int(name.rpartition("/")[2]) for name in named] == shown


def test_randaugment_changes_no_crop_flip_or_colour(pairs: Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = epoch(pairs, colour=0.3)
    assert not same(epoch(pairs, colour=0.3, randaugment=9), plain)
    monkeypatch.setattr("roadseg.train.data.view.change", lambda _, image, mask: (image, mask))
    assert same(epoch(pairs, colour=0.3, randaugment=9), plain)


@pytest.mark.parametrize("processes", [2, 3])
def test_the_parts_of_all_processes_are_the_whole_batch(pairs: Pairs, processes: int) -> None:
    whole = epoch(pairs, batch=6, colour=0.3)
    parts = [
        epoch(pairs, batch=6, colour=0.3, part=WorkerProcesses(rank, processes).part(6)) for rank in range(processes)
    ]
    assert len(parts[0][0][0]) == 6 // processes
    joined = [
        tuple(np.concatenate(arrays) for arrays in zip(*batch, strict=True)) for batch in zip(*parts, strict=True)
    ]
    assert same(whole, joined)


@tolerant
@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 4))
def test_accumulated_batches_show_what_a_large_batch_shows(
    pairs: Pairs, seed: int, batch: int, accumulate: int
) -> None:
    large = epoch(pairs, seed=seed, batch=batch * accumulate)
    small = epoch(pairs, seed=seed, batch=batch, accumulate=accumulate)
    assert len(small) == accumulate * len(large)
    assert np.array_equal(np.concatenate([images for images, _ in large]), np.concatenate([i for i, _ in small]))


def test_whole_batches_hold_every_pair_in_order(pairs: Pairs) -> None:
    batches = list(whole_batches(pairs, 4, reduction=1))
    assert tiles(batches) == list(range(1, 10))
    np.testing.assert_array_equal(np.concatenate([masks for _, masks in batches]), [mask for _, mask in pairs])


@tolerant
@given(st.floats(0, 1, exclude_min=True, exclude_max=True), st.integers(0, 2**31))
def test_watched_drives_are_never_trained_on(shards: Shards, share: float, seed: int) -> None:
    train, watched = split_monitored(shards, share, seed)
    drives = [{name for name, _ in side.locations} for side in (train, watched)]
    assert not drives[0] & drives[1]
    assert drives[0] | drives[1] == set(shards.drives("train"))
    assert all(drives)
    assert len(train) + len(watched) == 9


def test_the_seed_chooses_the_watched_drives(shards: Shards) -> None:
    chosen = [split_monitored(shards, 0.3, seed)[1].locations for seed in [*range(10), *range(10)]]
    assert chosen[:10] == chosen[10:]
    assert len({tuple(locations) for locations in chosen}) == 3


@pytest.mark.parametrize("drives", [{}, {"only": 1}])
def test_fewer_than_two_tiles_are_refused(
    drives: dict[str, int], make_shards: Callable[..., Shards], tmp_path: Path, idd_level1: ClassTable
) -> None:
    few = make_shards(tmp_path / "few", idd_level1, drives)
    with pytest.raises(DataRefused, match=f"{len(drives)} labelled training tiles; two are needed"):
        split_monitored(few, 0.5, 0)


@pytest.mark.parametrize(("share", "held"), [(0.01, 1), (0.5, 2), (0.99, 3)])
def test_of_a_single_drive_the_end_is_watched(
    share: float, held: int, make_shards: Callable[..., Shards], tmp_path: Path, idd_level1: ClassTable
) -> None:
    shards = make_shards(tmp_path / "one", idd_level1, {"only": 4})
    halves, whole = split_monitored(shards, share, 0), Pairs.open(shards, ["only"])
    assert [len(half) for half in halves] == [4 - held, held]
    assert same([pair for half in halves for pair in half], list(whole))
    assert [len(half.class_pixels) for half in halves] == [4 - held, held]


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_class_pixels_are_those_of_each_mask(shards: Shards, share: float) -> None:
    fitted, watched = split_monitored(shards, share, 0)
    for pairs in (fitted, watched):
        counted = [[int((mask == number).sum()) for number in range(7)] for _, mask in pairs]
        assert pairs.class_pixels.tolist() == counted
    both = fitted.class_pixels.sum(0) + watched.class_pixels.sum(0)
    assert both.tolist() == shards.class_pixels["train"][:-1]


def test_ahead_keeps_the_order(pairs: Pairs) -> None:
    assert same(list(ahead(iter(epoch(pairs)), depth=1)), epoch(pairs))


def test_ahead_raises_what_the_producer_raised(pairs: Pairs) -> None:
    def failing() -> Iterator[Batch]:
        yield from epoch(pairs, batch=9)
        raise OSError("the disk is gone")

    batches = ahead(failing())
    next(batches)
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
