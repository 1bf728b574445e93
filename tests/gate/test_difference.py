from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.gate import POLICY, WORLDS, by_difference, drawn, outcomes, shift, weeks
from roadseg.contracts.confusion import iou, mean_iou
from roadseg.gate import difference as module
from roadseg.gate import reasons
from roadseg.gate.decision import Decision, Judged
from roadseg.gate.difference import (
    Pair,
    class_ious,
    measure_difference,
    miou,
    overlaps,
    surely_above,
    surely_better,
    tell_apart,
)


@pytest.fixture
def pair() -> Pair:
    """Eight drives of two models."""
    several = drawn(8, 1, np.array(shift(WORLDS["alike"], 0.011)), np.random.default_rng(5))
    return Pair(several.champion[:, 0].round(), several.candidate[:, 0].round())


@given(arrays(np.int64, (2, 3, 4), elements=st.integers(0, 9)))
def test_overlaps_have_the_iou_of_the_counts_they_are_made_of(confusion: np.ndarray) -> None:
    np.testing.assert_array_equal(class_ious(overlaps(confusion)), iou(confusion))
    np.testing.assert_allclose(miou(overlaps(confusion).sum(0)), mean_iou(confusion.sum(0)), rtol=1e-12)


def test_both_models_are_drawn_alike(pair: Pair) -> None:
    same = Pair(pair.champion, pair.champion)
    assert not same.redrawn(miou, seed=0).any()
    assert pair.redrawn(miou, seed=0).std() < Pair(pair.champion, pair.candidate[::-1]).redrawn(miou, seed=0).std()


def test_resamples_are_of_whole_drives_with_replacement(pair: Pair) -> None:
    rng, expected = np.random.default_rng(1), []
    for _ in range(4000):
        chosen = rng.choice(8, 8)
        expected.append(miou(pair.candidate[chosen].sum(0)) - miou(pair.champion[chosen].sum(0)))
    ends = [0.05, 0.5, 0.95]
    assert np.quantile(pair.redrawn(miou, seed=0), ends) == pytest.approx(np.quantile(expected, ends), abs=0.001)


def test_swaps_are_of_whole_drives(pair: Pair) -> None:
    every = []
    for swap in product([False, True], repeat=8):
        moved = np.array(swap)[:, None, None]
        first = np.where(moved, pair.candidate, pair.champion)
        second = np.where(moved, pair.champion, pair.candidate)
        every.append(miou(second.sum(0)) - miou(first.sum(0)))
    ends = [0.05, 0.5, 0.95]
    assert np.quantile(pair.swapped(miou, seed=0), ends) == pytest.approx(np.quantile(every, ends), abs=0.002)


def test_the_chunks_change_memory_and_little_else(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pair.redrawn(miou, seed=0), pair.swapped(miou, seed=0)
    monkeypatch.setattr(module, "CHUNK", 64)
    parts = pair.redrawn(miou, seed=0), pair.swapped(miou, seed=0)
    np.testing.assert_array_equal([len(each) for each in parts], module.RESAMPLES)
    np.testing.assert_allclose(np.mean(whole, 1), np.mean(parts, 1), atol=1e-3)


def test_few_drives_are_less_sure_than_many_and_one_tells_nothing() -> None:
    redrawn = np.random.default_rng(0).normal(1.5, 1, 2000)
    sure = [float(surely_above(redrawn, 0.0, drives)) for drives in (3, 12, 48, 10_000)]
    assert sure == sorted(sure)
    assert sure[-1] == pytest.approx((redrawn > 0).mean(), abs=1e-3)
    assert np.isnan(surely_above(redrawn, 0.0, 1))


def test_resamples_in_which_a_class_is_missing_say_nothing_of_it() -> None:
    redrawn = np.array([1.0] * 500 + [-1.0] * 500 + [np.nan] * 1000)
    assert float(surely_above(redrawn, 0.0, 1000)) == pytest.approx(0.5, abs=0.01)
    assert np.isnan(surely_above(redrawn[1000:], 0.0, 1000))


def test_the_more_doubtful_of_resampling_and_swapping_counts() -> None:
    sure, doubtful = np.linspace(0.1, 3, 1000), np.linspace(-1, 3, 1000)
    rare, frequent = np.linspace(-3, 1, 1000), np.linspace(-3, 3, 1000)
    found = [
        float(surely_better(redrawn, swapped, np.float64(1.5), 1000))
        for redrawn, swapped in ((sure, rare), (doubtful, rare), (sure, frequent))
    ]
    assert found == [pytest.approx(0.999, abs=0.002), pytest.approx(0.75, abs=0.01), pytest.approx(0.75, abs=0.01)]


def test_better_and_worse_change_places_with_the_models(pair: Pair) -> None:
    there, back = (tell_apart(each, miou, 0.0, seed=0) for each in (pair, Pair(pair.candidate, pair.champion)))
    assert float(there.value) == -float(back.value)
    assert float(there.better) == pytest.approx(float(back.worse), abs=1e-9)


def test_so_many_drives_are_needed_as_make_the_deviation_small_enough(pair: Pair) -> None:
    asked = {"confidence": 0.95, "loss": 0.0, "seed": 0}
    found = measure_difference(pair, gain=0.0, **asked)
    times = ((1.645 + 0.842) * found.deviation / found.value) ** 2
    assert found.needed == pytest.approx(8 * times, abs=1.1)
    assert measure_difference(pair, gain=10 * found.value, **asked).needed == pytest.approx(found.needed / 100, abs=1.1)
    assert measure_difference(Pair(pair.champion, pair.champion), gain=0.0, **asked).needed is None


def test_the_simulation_decides_as_the_gate_does() -> None:
    several = drawn(24, 30, np.array(shift(WORLDS["alike"], 0.006)), np.random.default_rng(2))
    promoted, rejected = by_difference(tell_apart(several, miou, POLICY.loss, seed=0), POLICY)
    for number in range(30):
        pair = Pair(several.champion[:, number], several.candidate[:, number])
        found = measure_difference(pair, confidence=POLICY.confidence, gain=POLICY.gain, loss=POLICY.loss, seed=0)
        judged = Judged(1, None, None, 0.5)
        outcome, _ = reasons.by_difference(Decision("HOLD", (), judged, judged), found, POLICY)
        assert (outcome == "PROMOTE", outcome == "REJECT") == (promoted[number], rejected[number])
    assert 0 < promoted.sum() < 30


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough to count errors of five in a hundred."""
    monkeypatch.setattr(module, "RESAMPLES", 400)


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize("world", WORLDS)
def test_equal_models_are_promoted_and_rejected_no_more_often_than_the_policy_says(world: str) -> None:
    found = outcomes(WORLDS[world], 0.0, drives=12, pairs=400, policy=POLICY)
    assert max(found["promote"], found["reject"]) <= 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5


@pytest.mark.usefixtures("few_resamples")
def test_resampling_alone_would_promote_equal_models_too_often() -> None:
    found = outcomes(WORLDS["rare class lost"], 0.0, drives=12, pairs=400, policy=POLICY)
    assert min(found["plain"], found["moved"]) > 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5


@pytest.mark.usefixtures("few_resamples")
def test_a_true_difference_is_told_more_often_the_larger_it_is_and_the_more_drives_there_are() -> None:
    def promoted(true: float, drives: int) -> float:
        return float(outcomes(WORLDS["alike"], true, drives, 200, POLICY)["promote"])

    assert promoted(0.006, 48) + 0.1 < promoted(0.011, 48) + 0.05 < promoted(0.0156, 48)
    assert promoted(0.011, 12) + 0.1 < promoted(0.011, 48)
    assert promoted(0.011, 48) > 0.8
    assert outcomes(WORLDS["alike"], -0.0156, 48, 200, POLICY)["reject"] > 0.8


@pytest.mark.usefixtures("few_resamples")
def test_fifty_candidates_make_the_champion_better() -> None:
    found = weeks(0.011, 20, POLICY, drives=24)
    assert found["promotions"] > 0.5
    assert found["ended_gain"] > 0.005
    assert found["truly_worse"] < 0.2
