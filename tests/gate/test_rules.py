"""Each rule breaks alone, with its key, its bound and its figure, however good the mean is."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from rivals import losing, models, of_table, policy, with_confusion

from roadseg.contracts.confusion import iou, mean_iou
from roadseg.gate.decide import decide
from roadseg.gate.decision import Decision, Rule
from roadseg.gate.evidence import Evidence

CANDIDATE, CHAMPION = models()
CLASSES = CHAMPION.table.names if CHAMPION.table else []
LIVING = CLASSES.index("living-things")


def counts(model: Evidence) -> np.ndarray:
    assert model.evaluation
    return model.evaluation.counts.confusion.astype(np.int64)


def broken(decision: Decision) -> list[Rule]:
    return [rule for rule in decision.rules if not rule.held]


def only(decision: Decision, outcome: str, key: str) -> Rule:
    """The rule that is broken, if it alone decides."""
    [rule] = broken(decision)
    assert (decision.outcome, rule.outcome, rule.key) == (outcome, outcome, key)
    assert decision.reasons[0] == rule.sentence
    assert key in rule.sentence
    return rule


def test_a_better_model_breaks_no_rule_and_every_key_has_one() -> None:
    decision = decide(CANDIDATE, CHAMPION, policy(iou_min={"sky": 0.1}))
    assert broken(decision) == []
    keys = ["miou_min", "iou_min", "protected_drop", "slice_drop", "regressions", "safe_drop", "size_factor"]
    assert list(dict.fromkeys(rule.key for rule in decision.rules)) == [f"promote.{key}" for key in keys] + [
        "promote.time_factor"
    ]


def test_a_floor_is_broken_by_the_score_of_all_images() -> None:
    rule = only(decide(CANDIDATE, CHAMPION, policy(miou_min=0.9)), "REJECT", "promote.miou_min")
    assert (rule.bound, rule.figure) == (0.9, pytest.approx(mean_iou(counts(CANDIDATE).sum(0))))


def test_a_floor_of_a_class_is_broken_by_that_class() -> None:
    rule = only(decide(CANDIDATE, CHAMPION, policy(iou_min={"living-things": 0.9})), "REJECT", "promote.iou_min")
    assert rule.about == "living-things"
    assert rule.figure == pytest.approx(iou(counts(CANDIDATE).sum(0))[LIVING])


def test_a_floor_of_a_class_that_there_is_not_is_held() -> None:
    rule = only(decide(CANDIDATE, CHAMPION, policy(iou_min={"unicorns": 0.0})), "HOLD", "promote.iou_min")
    assert rule.figure is None
    assert decide(CANDIDATE, None, policy(iou_min={"unicorns": 0.0})).outcome == "HOLD"


def test_a_better_mean_with_a_surely_worse_protected_class_is_rejected() -> None:
    candidate = losing(CANDIDATE, slice(None), 0.4, LIVING)
    decision = decide(candidate, CHAMPION, policy(safe_drop=1.0))
    assert decision.difference is not None
    assert decision.difference.low > 0
    rule = only(decision, "REJECT", "promote.protected_drop")
    fall = iou(counts(CHAMPION).sum(0))[LIVING] - iou(counts(candidate).sum(0))[LIVING]
    assert (rule.about, rule.figure) == ("living-things", pytest.approx(fall))
    assert f"fell by {fall:.4f}, surely more than" in rule.sentence


def test_a_protected_class_that_may_have_fallen_holds() -> None:
    candidate = losing(CANDIDATE, slice(None), 0.4, LIVING)
    fall = iou(counts(CHAMPION).sum(0))[LIVING] - iou(counts(candidate).sum(0))[LIVING]
    decision = decide(candidate, CHAMPION, policy(safe_drop=1.0, protected_drop=round(fall - 0.003, 4)))
    assert "though not surely more" in only(decision, "HOLD", "promote.protected_drop").sentence
    assert decide(candidate, CHAMPION, policy(safe_drop=1.0, protected_drop=round(fall + 0.003, 4))).exit_code == 0


def test_the_candidate_s_table_says_which_classes_are_protected() -> None:
    candidate = losing(CANDIDATE, slice(None), 0.4, LIVING)
    free = of_table(candidate, protected=False)
    assert decide(free, CHAMPION, policy(safe_drop=1.0)).outcome == "PROMOTE"
    assert decide(candidate, of_table(CHAMPION, protected=False), policy(safe_drop=1.0)).outcome == "REJECT"


def test_a_protected_class_of_one_drive_is_never_surely_worse() -> None:
    assert CHAMPION.evaluation
    elsewhere = np.array(CHAMPION.evaluation.drives) != CHAMPION.evaluation.drives[0]

    def cut(model: Evidence) -> Evidence:
        confusion = counts(model)
        confusion[elsewhere, LIVING] = 0
        confusion[elsewhere, :, -1] += confusion[elsewhere, :, LIVING]
        confusion[elsewhere, :, LIVING] = 0
        return with_confusion(model, confusion)

    candidate = cut(losing(CANDIDATE, slice(None), 0.9, LIVING))
    decision = decide(candidate, cut(CHAMPION), policy(safe_drop=1.0, protected_drop=0.0))
    [rule] = [rule for rule in broken(decision) if rule.key == "promote.protected_drop"]
    assert rule.outcome == "HOLD"


def test_a_protected_class_that_no_image_holds_cannot_be_judged() -> None:
    def lacking(model: Evidence) -> Evidence:
        confusion = counts(model)
        confusion[:, LIVING] = 0
        return with_confusion(model, confusion)

    rule = only(decide(lacking(CANDIDATE), lacking(CHAMPION), policy()), "HOLD", "promote.protected_drop")
    assert "no image of val holds the protected class living-things" in rule.sentence


def dark(model: Evidence, rows: np.ndarray) -> Evidence:
    """The model's evidence, where some images are known to be darker than the others."""
    assert model.evaluation
    brightness = pa.array(np.where(rows, 0.1, 0.5) + np.arange(len(rows)) / 1e4, pa.float32())
    images = model.evaluation.images
    images = images.set_column(images.column_names.index("brightness"), "brightness", brightness)
    return replace(model, evaluation=replace(model.evaluation, images=images))


def test_a_slice_that_surely_fell_rejects_a_better_mean() -> None:
    rows = np.zeros(150, bool)
    rows[1::4] = True
    candidate, champion = (dark(model, rows) for model in (losing(CANDIDATE, rows, 0.3), CHAMPION))
    decision = decide(candidate, champion, policy(gain=0.0, confidence=0.6, regressions=150, protected_drop=1.0))
    by_brightness = [rule for rule in broken(decision) if rule.about.startswith("brightness")]
    [rule] = by_brightness
    assert (decision.outcome, rule.key, rule.outcome) == ("REJECT", "promote.slice_drop", "REJECT")
    fall = mean_iou(counts(champion)[rows].sum(0)) - mean_iou(counts(candidate)[rows].sum(0))
    assert rule.figure == pytest.approx(fall, abs=0.01)  # a quarter is 37 or 38 images
    assert rule.sentence in decision.reasons


def test_a_slice_within_the_margin_or_too_small_rejects_nothing() -> None:
    rows = np.zeros(150, bool)
    rows[1::4] = True
    candidate, champion = (dark(model, rows) for model in (losing(CANDIDATE, rows, 0.3), CHAMPION))
    for lenient in ({"slice_drop": 0.5}, {"slice_images": 60}):
        decision = decide(candidate, champion, policy(**lenient))
        assert all(rule.held for rule in decision.rules if rule.key == "promote.slice_drop")
    said = [rule.sentence for rule in decision.rules if rule.key == "promote.slice_drop"]
    assert said[0] == "no slice by brightness has promote.slice_images 60 images: nothing to judge"


def test_a_slice_of_one_drive_that_fell_cannot_be_judged() -> None:
    assert CHAMPION.evaluation
    drives = np.array(CHAMPION.evaluation.drives)
    largest = max(set(drives.tolist()), key=lambda drive: int((drives == drive).sum()))
    rows = drives == largest
    keep = rows | (np.cumsum(~rows) <= 3 * rows.sum())  # so that the drive is the darkest quarter

    def cut(model: Evidence) -> Evidence:
        assert model.evaluation
        found = dark(model, rows).evaluation
        assert found
        return replace(model, evaluation=replace(found, images=found.images.filter(keep), counts=found.counts[keep]))

    values = {"drives": 2, "slice_images": 1, "regressions": 150, "protected_drop": 1.0, "safe_drop": 1.0}
    decision = decide(cut(losing(CANDIDATE, rows, 0.5)), cut(CHAMPION), policy(**values))
    told = [rule for rule in broken(decision) if "one drive tells nothing" in rule.sentence]
    assert told
    assert all(rule.outcome == "HOLD" for rule in told)


def test_images_that_fell_are_counted_and_listed_worst_first() -> None:
    candidate = losing(losing(CANDIDATE, slice(0, 2), 0.6), slice(5, 6), 0.8)
    allowed = decide(candidate, CHAMPION, policy(regressions=3, regression_drop=0.15))
    assert CHAMPION.evaluation
    samples = CHAMPION.evaluation.images["sample"].to_pylist()
    listed = allowed.regressions
    assert listed[0].sample == samples[5]
    assert {each.sample for each in listed} == {samples[0], samples[1], samples[5]}
    assert listed[0].before == pytest.approx(mean_iou(counts(CHAMPION)[5]))
    assert listed[0].after == pytest.approx(mean_iou(counts(candidate)[5]))
    decision = decide(candidate, CHAMPION, policy(regressions=2, regression_drop=0.15))
    rule = only(decision, "REJECT", "promote.regressions")
    assert (rule.bound, rule.figure) == (2, 3)
    assert samples[5] in rule.sentence


def test_a_safe_score_that_surely_fell_rejects_a_better_mean() -> None:
    confusion, road = counts(CANDIDATE), CLASSES.index("drivable")
    moved = (0.9 * confusion[:, LIVING, LIVING]).astype(np.int64)  # living things taken for road: a dangerous confusion
    confusion[:, LIVING, LIVING] -= moved
    confusion[:, LIVING, road] += moved
    candidate = with_confusion(CANDIDATE, confusion)
    rule = only(decide(candidate, CHAMPION, policy(protected_drop=1.0)), "REJECT", "promote.safe_drop")
    assert rule.figure is not None
    assert rule.figure > rule.bound == 0.01


def test_a_model_that_is_too_large_is_rejected_and_one_that_is_too_slow_is_held() -> None:
    rule = only(decide(replace(CANDIDATE, size=2_500_000), CHAMPION, policy()), "REJECT", "promote.size_factor")
    assert (rule.bound, rule.figure) == (2.0, 2.5)
    rule = only(decide(replace(CANDIDATE, seconds=0.02), CHAMPION, policy()), "HOLD", "promote.time_factor")
    assert (rule.bound, rule.figure) == (1.5, 2.0)


@pytest.mark.parametrize("key", ["size", "seconds"])
def test_what_was_not_measured_is_held(key: str) -> None:
    unknown = replace(CHAMPION, **{key: None})
    [rule] = broken(decide(CANDIDATE, unknown, policy()))
    assert (rule.held, rule.figure, rule.outcome) == (None, None, "HOLD")
    assert decide(CANDIDATE, unknown, policy()).outcome == "HOLD"


def test_a_broken_rule_rejects_what_the_data_alone_would_hold() -> None:
    candidate, champion = models(added=0.0)
    assert decide(candidate, champion, policy()).outcome == "HOLD"
    assert decide(replace(candidate, size=9_000_000), champion, policy()).outcome == "REJECT"
