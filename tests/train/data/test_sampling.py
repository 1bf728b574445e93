import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadseg.train.data.sampling import SampledPair, class_uniform_sampling

PAIRS, CLASSES, ABSENT = 12, 5, 3
seeds = st.integers(0, 2**32 - 1)
shares = st.floats(0, 1)


def case(seed: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """An order, and pixels of which class 0 is everywhere, one class in a single pair and one nowhere."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 2, (PAIRS, CLASSES)) * rng.integers(1, 100, (PAIRS, CLASSES))
    pixels[:, 0], pixels[:, ABSENT], pixels[:, 4] = 100, 0, 0
    pixels[rng.integers(PAIRS), 4] = 1
    return rng.permutation(PAIRS), pixels, rng


@given(seeds, shares)
def test_an_epoch_keeps_its_length_and_gives_away_the_share(seed: int, share: float) -> None:
    order, pixels, rng = case(seed)
    sampled = class_uniform_sampling(order, pixels, share, rng)
    assert len(sampled) == PAIRS
    kept = [place for place, each in enumerate(sampled) if each.shown is None]
    assert len(kept) == PAIRS - round(share * PAIRS)
    assert [sampled[place].pair for place in kept] == order[kept].tolist()


@given(seeds, shares)
def test_a_pair_that_is_drawn_for_a_class_shows_it(seed: int, share: float) -> None:
    order, pixels, rng = case(seed)
    given = [each for each in class_uniform_sampling(order, pixels, share, rng) if each.shown is not None]
    assert all(pixels[each.pair, each.shown] > 0 for each in given)
    assert all(0 <= each.pixel < 1 for each in given)


@given(seeds, shares)
def test_every_class_that_occurs_has_the_same_number_of_turns(seed: int, share: float) -> None:
    order, pixels, rng = case(seed)
    sampled = class_uniform_sampling(order, pixels, share, rng)
    turns = [sum(each.shown == number for each in sampled) for number in range(CLASSES)]
    assert turns.pop(ABSENT) == 0
    assert max(turns) - min(turns) <= 1


@given(seeds)
def test_a_share_of_0_is_the_plain_order_and_draws_nothing(seed: int) -> None:
    order, pixels, rng = case(seed)
    before = rng.bit_generator.state
    assert class_uniform_sampling(order, pixels, 0, rng) == [SampledPair(pair) for pair in order]
    assert rng.bit_generator.state == before


def test_any_pair_that_shows_the_class_may_come() -> None:
    _, pixels, rng = case(1)
    sampled = class_uniform_sampling(np.zeros(4000, np.int64), pixels, 1.0, rng)
    for shown in (0, 1, 2, 4):
        of_class = [each for each in sampled if each.shown == shown]
        assert {each.pair for each in of_class} == set(np.flatnonzero(pixels[:, shown]))
        assert np.mean([each.pixel for each in of_class]) == pytest.approx(0.5, abs=0.05)
