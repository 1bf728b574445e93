"""The replay's figures, on made state: what each way needs for random's score, and which drives begin."""

from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.label_replay import WAYS, Replay, needed, summary, table

SHARES = [0.15, 0.25, 0.4]
SCORES = {"mixed": [0.5, 0.6, 0.7], "uncertainty": [0.1, 0.2, 0.5], "random": [0.4, 0.55, 0.65]}


def made(scores: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """State of two seeds that differ by 0.02 around the scores."""
    state = {f"{seed}/start": {"miou": 0.3, "pictures": 10, "seconds": 60.0} for seed in range(2)}
    for way, listed in scores.items():
        for share, score in zip(SHARES, listed, strict=True):
            for seed, off in enumerate((-0.01, 0.01)):
                state[f"{seed}/{way}/{share}"] = {"miou": score + off, "pictures": 20, "seconds": 60.0}
    return state


@pytest.mark.parametrize(
    ("goal", "share"), [(0.4, 0.15), (0.5, 0.15), (0.55, 0.2), (0.6, 0.25), (0.7, 0.4), (0.71, None)]
)
def test_labels_needed_lie_between_two_budgets_by_their_scores(goal: float, share: float | None) -> None:
    assert needed(goal, SHARES, SCORES["mixed"]) == (None if share is None else pytest.approx(share))


def test_a_way_is_judged_by_what_it_needs_for_random_s_score_at_a_quarter() -> None:
    found = summary(made(SCORES), SHARES, seeds=2)
    assert found["miou"]["mixed"] == pytest.approx(SCORES["mixed"])
    assert found["deviation"]["random"] == pytest.approx([0.02 / 2**0.5] * 3)
    assert found["labels_for_goal"] == {"mixed": pytest.approx(0.2 / 0.25), "uncertainty": None, "random": 1.0}
    assert found["held"] is False  # 0.8 of random's labels, more than 0.7
    better = summary(made(SCORES | {"mixed": [0.56, 0.6, 0.7]}), SHARES, seeds=2)
    assert (better["labels_for_goal"]["mixed"], better["held"]) == (pytest.approx(0.6), True)


def test_the_table_has_a_line_for_each_way_with_mean_deviation_and_need() -> None:
    head, rule, *lines = table(summary(made(SCORES), SHARES, seeds=2), SHARES).splitlines()
    assert head == "| way | 15.0% | 25.0% | 40.0% | labels for random's score at 25% |"
    assert rule.count("---") == 5
    assert [line.split(" | ")[0] for line in lines] == [f"| {way}" for way in WAYS]
    assert "| mixed | 0.5000 \u00b1 0.0141 | 0.6000 \u00b1 0.0141 | 0.7000 \u00b1 0.0141 | 0.80 of it |" in lines
    assert "more than all" in next(line for line in lines if line.startswith("| uncertainty"))


def test_whole_drives_are_labelled_at_first_until_the_share_is_reached() -> None:
    rows: list[dict[str, Any]] = [
        {"sample": f"{drive}/{frame}", "drive": drive} for drive in ("a", "b", "c", "d") for frame in range(5)
    ]
    replay: Any = SimpleNamespace(rows=rows)
    for seed in range(3):
        chosen = Replay.started(replay, seed, 0.3)
        assert chosen == Replay.started(replay, seed, 0.3)
        drives = {sample.partition("/")[0] for sample in chosen}
        assert (len(drives), len(chosen)) == (2, 10)
    assert len({frozenset(Replay.started(replay, seed, 0.3)) for seed in range(9)}) > 1
