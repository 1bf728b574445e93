import json
from dataclasses import replace

import numpy as np
import pytest
from rivals import losing, models, of_table, policy

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import finite
from roadseg.gate.decide import decide
from roadseg.gate.decision import Decision, LeftOut
from roadseg.gate.evidence import Evidence

CANDIDATE, CHAMPION = models()
DRIVES = sorted(set(CANDIDATE.evaluation.drives)) if CANDIDATE.evaluation else []


def test_a_better_model_is_promoted_with_its_difference_and_interval() -> None:
    decision = decide(CANDIDATE, CHAMPION, policy())
    assert (decision.outcome, decision.exit_code) == ("PROMOTE", 0)
    found = decision.difference
    assert found is not None
    assert 0 < found.low < found.value < found.high
    assert found.probability > 0.95
    assert found.worse < 0.05
    assert (decision.images, list(decision.drives)) == (150, DRIVES)
    assert str(decision).startswith("PROMOTE version 2: better: mIoU 0.")
    assert f"{found.value:+.4f} (95% interval {found.low:+.4f} to {found.high:+.4f}) over 150 images" in str(decision)


def test_an_equal_model_is_held_and_the_drives_that_would_tell_are_said() -> None:
    candidate, champion = models(added=0.0)
    decision = decide(candidate, champion, policy())
    assert (decision.outcome, decision.exit_code) == ("HOLD", 4)
    assert decision.difference is not None
    assert decision.difference.needed is not None
    assert f"about {max(decision.difference.needed, len(DRIVES) + 1)} drives would tell" in str(decision)


def test_the_model_itself_under_another_number_is_held() -> None:
    decision = decide(replace(CHAMPION, version=9), CHAMPION, policy(gain=0.0, loss=0.0))
    assert decision.outcome == "HOLD"
    assert decision.difference is not None
    assert (decision.difference.value, decision.difference.needed) == (0.0, None)
    assert max(decision.difference.probability, decision.difference.worse) < 0.05
    assert "no number of drives would tell" in str(decision)


def test_a_worse_model_is_rejected() -> None:
    decision = decide(CHAMPION, replace(CANDIDATE, version=9), policy())
    assert (decision.outcome, decision.exit_code) == ("REJECT", 4)
    assert "surely worse by more than promote.loss 0.003" in str(decision)


def test_a_loss_within_the_margin_is_no_rejection() -> None:
    slightly = replace(losing(CHAMPION, slice(None), 0.004), version=9)
    strict, lenient = (decide(slightly, CHAMPION, policy(loss=loss)) for loss in (0.0, 0.01))
    assert (strict.outcome, lenient.outcome) == ("REJECT", "HOLD")


def test_a_sure_gain_below_the_margin_is_held() -> None:
    decision = decide(CANDIDATE, CHAMPION, policy(gain=0.2))
    assert decision.outcome == "HOLD"
    assert "better, but by less than promote.gain 0.2" in str(decision)


def test_equal_seeds_give_equal_decisions_and_the_order_of_images_matters_not() -> None:
    def backward(model: Evidence) -> Evidence:
        assert model.evaluation
        turned = np.arange(150)[::-1]
        evaluation = model.evaluation
        return replace(
            model, evaluation=replace(evaluation, images=evaluation.images.take(turned), counts=evaluation.counts[::-1])
        )

    first, again, other = (decide(CANDIDATE, CHAMPION, policy(), seed=seed) for seed in (3, 3, 4))
    assert first == again == decide(CANDIDATE, backward(CHAMPION), policy(), seed=3)
    assert first == decide(backward(CANDIDATE), CHAMPION, policy(), seed=3)
    assert first.difference != other.difference


def test_the_first_model_is_promoted_where_the_floors_hold_and_says_so() -> None:
    decision = decide(CANDIDATE, None, policy())
    assert (decision.outcome, decision.champion, decision.difference) == ("PROMOTE", None, None)
    assert str(decision) == (
        f"PROMOTE version 2: first model, mIoU {decision.candidate.miou:.4f} over 150 images of {len(DRIVES)} drives"
    )
    assert decide(CANDIDATE, None, policy(miou_min=0.9)).outcome == "REJECT"


def test_the_champion_is_not_judged_again() -> None:
    decision = decide(CHAMPION, CHAMPION, policy())
    assert (decision.outcome, decision.exit_code, decision.reasons) == ("CHAMPION ALREADY", 0, ("nothing to decide",))


GONE = replace(CANDIDATE, evaluation=None)
UNLIKE = replace(CHAMPION, settings={"flip": True})
OTHER = replace(CHAMPION, evaluation=replace(CHAMPION.evaluation, val_manifest="b" * 64))  # type: ignore[type-var]
UNKNOWN = replace(CHAMPION, evaluation=replace(CHAMPION.evaluation, val_manifest=None))  # type: ignore[type-var]
NO_IMAGES = "12 images are missing: run `dvc checkout`"


@pytest.mark.parametrize(
    ("candidate", "champion", "reason"),
    [
        (GONE, CHAMPION, "the candidate has no evaluation"),
        (GONE, None, "the candidate has no evaluation"),
        (replace(CANDIDATE, missing=(NO_IMAGES,)), None, NO_IMAGES),
        (CANDIDATE, replace(CHAMPION, evaluation=None), "champion 1 has no evaluation"),
        (CANDIDATE, replace(CHAMPION, missing=(NO_IMAGES,)), NO_IMAGES),
        (CANDIDATE, UNLIKE, "flip False against True of champion 1"),
        (CANDIDATE, replace(CHAMPION, settings={}), "flip False against None of champion 1"),
        (CANDIDATE, OTHER, "different data (val manifest vvvvvvvv and bbbbbbbb of champion 1)"),
        (CANDIDATE, UNKNOWN, "nothing says on which val split champion 1"),
    ],
)
def test_what_cannot_be_compared_is_held_with_the_reason(
    candidate: Evidence, champion: Evidence | None, reason: str
) -> None:
    decision = decide(candidate, champion, policy())
    assert (decision.outcome, decision.difference) == ("HOLD", None)
    assert reason in str(decision)


def test_other_true_pixels_are_other_evidence() -> None:
    assert CHAMPION.evaluation
    confusion = CHAMPION.evaluation.counts.confusion.copy()
    confusion[0, 0, 0] -= 1
    counts = replace(CHAMPION.evaluation.counts, confusion=confusion)
    champion = replace(CHAMPION, evaluation=replace(CHAMPION.evaluation, counts=counts))
    decision = decide(CANDIDATE, champion, policy())
    assert decision.outcome == "HOLD"
    assert "the true pixels of champion 1 were counted otherwise" in str(decision)


def test_another_class_table_is_held_until_a_person_asks_for_it() -> None:
    assert CHAMPION.evaluation
    content = CHAMPION.evaluation.counts.classes.content
    content["classes"][0]["name"] = "road"
    renamed = replace(CHAMPION.evaluation.counts, classes=ClassTable.model_validate(content))
    champion = replace(CHAMPION, evaluation=replace(CHAMPION.evaluation, counts=renamed))
    held, asked = (decide(CANDIDATE, champion, policy(), new_table=asked) for asked in (False, True))
    assert (held.outcome, asked.outcome, asked.difference) == ("HOLD", "PROMOTE", None)
    assert "--new-table" in str(held)
    assert "a person asked for its class table" in str(asked)
    unknown = replace(champion, evaluation=None, classes=champion.table)
    assert decide(CANDIDATE, unknown, policy(), new_table=True).outcome == "PROMOTE"
    assert decide(CANDIDATE, replace(unknown, classes=None), policy(), new_table=True).outcome == "HOLD"


def test_asking_for_a_new_table_excuses_no_model_of_the_same_one() -> None:
    assert decide(CHAMPION, replace(CANDIDATE, version=9), policy(), new_table=True).outcome == "REJECT"


@pytest.mark.parametrize("changes", [{"color": [1, 2, 3]}, {"protected": False}, {"group": "all"}])
def test_what_only_paints_or_judges_is_no_other_table(changes: dict[str, object]) -> None:
    assert decide(CANDIDATE, of_table(CHAMPION, **changes), policy()).outcome == "PROMOTE"


def test_drives_that_are_left_out_decide_nothing_and_are_said() -> None:
    gone = [LeftOut(drive, 3, "2 images are in the training data of version 1") for drive in DRIVES[:5]]
    decision = decide(CANDIDATE, CHAMPION, policy(), left_out=gone)
    assert list(decision.drives) == DRIVES[5:]
    assert decision.left_out == tuple(gone)
    assert "left out: 5 drives with 15 images: " in str(decision)
    assert "2 images are in the training data of version 1" in str(decision)


def test_a_drive_that_is_left_out_changes_no_figure() -> None:
    assert CANDIDATE.evaluation
    rows = np.array(CANDIDATE.evaluation.drives) == DRIVES[0]
    gone = [LeftOut(DRIVES[0], int(rows.sum()), "it leaked")]
    spoilt = losing(CANDIDATE, rows, 0.9)
    assert decide(spoilt, CHAMPION, policy(), left_out=gone) == decide(CANDIDATE, CHAMPION, policy(), left_out=gone)
    assert decide(spoilt, CHAMPION, policy()) != decide(CANDIDATE, CHAMPION, policy())


def test_too_few_drives_are_held_with_both_numbers() -> None:
    gone = [LeftOut(drive, 1, "it leaked") for drive in DRIVES[11:]]
    decision = decide(CANDIDATE, CHAMPION, policy(), left_out=gone)
    assert (decision.outcome, decision.difference) == ("HOLD", None)
    assert "11 drives decide, and promote.drives asks for 12" in str(decision)
    assert decide(CANDIDATE, CHAMPION, policy(), left_out=gone[1:]).difference is not None


def test_with_every_drive_left_out_not_even_a_first_model_passes() -> None:
    gone = [LeftOut(drive, 1, "it leaked") for drive in DRIVES]
    first = decide(CANDIDATE, None, policy(), left_out=gone)
    assert (first.outcome, first.images, first.rules) == ("HOLD", 0, ())
    assert str(first).startswith(f"HOLD version 2: left out: {len(DRIVES)} drives with {len(DRIVES)} images: ")
    assert decide(CANDIDATE, CHAMPION, policy(drives=2), left_out=gone).outcome == "HOLD"


@pytest.mark.parametrize("champion", [None, CHAMPION, replace(CHAMPION, settings={}), replace(CHAMPION, version=2)])
def test_a_decision_comes_back_from_json(champion: Evidence | None) -> None:
    gone = [LeftOut(DRIVES[0], 1, "it leaked")]
    decision = decide(losing(CANDIDATE, slice(0, 9), 0.9), champion, policy(), left_out=gone)
    text = json.dumps(finite({"schema": "roadseg/decision/1"} | decision.to_json()), allow_nan=False)
    assert Decision.from_json(json.loads(text)) == decision
