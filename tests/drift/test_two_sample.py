import numpy as np
import pandas as pd
import pytest

from roadseg.drift.two_sample import Shift, find_shifts, least_probability, weights

FIGURES = ["a", "b", "c"]


def drives(
    rng: np.random.Generator, count: int, name: str, *, added: float = 0.0, frames: int | None = None
) -> pd.DataFrame:
    """Frames that are much alike within a drive: figure `a` has `added` more."""
    sizes = np.full(count, frames) if frames else rng.integers(1, 20, count)
    member = np.repeat(np.arange(count), sizes)
    values = rng.normal(size=(count, 3))[member] + 0.2 * rng.normal(size=(len(member), 3))
    values[:, 0] += added
    return pd.DataFrame(values, columns=FIGURES).assign(drive=[f"{name}{number}" for number in member])


def shifts(known: pd.DataFrame, new: pd.DataFrame, permutations: int = 400) -> dict[str, Shift]:
    found = find_shifts(known, new, FIGURES, permutations=permutations, seed=0)
    return {shift.figure: shift for shift in found}


def found_at_all(known: pd.DataFrame, new: pd.DataFrame, level: float) -> bool:
    return min(shift.probability for shift in shifts(known, new, 200).values()) <= level


def test_drives_of_the_same_kind_are_told_apart_as_seldom_as_the_level_says_and_frames_alone_would_not_be() -> None:
    rng, alarms, by_frames = np.random.default_rng(0), 0, 0
    for number in range(100):
        known, new = drives(rng, 30, "k"), drives(rng, 8, "n")
        alarms += found_at_all(known, new, 0.1)
        if number < 20:
            single = [frame.assign(drive=frame["drive"] + frame.index.astype(str)) for frame in (known, new)]
            by_frames += found_at_all(*single, 0.1)
    assert 2 <= alarms <= 20, "10 are expected; beyond these lies one in a thousand"
    assert by_frames > 10


def test_the_figure_that_moved_is_named_and_no_other() -> None:
    rng = np.random.default_rng(1)
    found = shifts(drives(rng, 40, "k"), drives(rng, 10, "n", added=3.0))
    assert found["a"].probability < 0.01
    assert found["a"].distance > 0.8
    assert found["a"].after > found["a"].before + 2
    assert min(found["b"].probability, found["c"].probability) > 0.05


def test_a_wider_spread_around_the_same_middle_is_found() -> None:
    rng = np.random.default_rng(2)
    known, new = drives(rng, 60, "k"), drives(rng, 20, "n")
    new["b"] *= 6
    assert shifts(known, new)["b"].probability < 0.01


def test_a_value_that_nearly_all_frames_have_is_compared_too() -> None:
    rng = np.random.default_rng(3)
    known, new = drives(rng, 40, "k"), drives(rng, 5, "n")
    known["c"], new["c"] = 640.0, 320.0
    found = shifts(known, new)["c"]
    assert (found.distance, found.before, found.after) == (1.0, 640.0, 320.0)
    assert found.probability < 0.01
    new["c"] = 640.0
    assert shifts(known, new)["c"].probability == 1.0


def test_more_frames_of_one_drive_say_no_more() -> None:
    rng = np.random.default_rng(4)
    known, new = drives(rng, 40, "k"), drives(rng, 6, "n", frames=3)
    again = pd.concat([new, *[new[new["drive"] == "n0"]] * 50], ignore_index=True)
    few, many = shifts(known, new), shifts(known, again)
    assert [many[name].distance for name in FIGURES] == pytest.approx([few[name].distance for name in FIGURES], abs=0.1)
    assert weights(again).sum() == pytest.approx(1)
    assert weights(again)[again["drive"] == "n0"].sum() == pytest.approx(1 / 6)


def test_the_order_of_the_frames_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    known, new = drives(rng, 30, "k"), drives(rng, 8, "n", added=0.5)
    assert shifts(known.sample(frac=1, random_state=1), new.sample(frac=1, random_state=1)) == shifts(known, new)


def test_one_new_drive_can_be_no_surer_than_that_it_is_at_one_of_both_ends() -> None:
    rng = np.random.default_rng(6)
    found = shifts(drives(rng, 19, "k"), drives(rng, 1, "n", added=50.0), 2000)
    assert found["a"].probability == pytest.approx(least_probability(19, 1), abs=0.02)
    assert least_probability(19, 1) == 2 / 20
