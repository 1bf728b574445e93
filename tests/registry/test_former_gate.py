import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadseg.registry.former_gate import Evidence, decide_by_score

VAL, OTHER = "a" * 64, "b" * 64
CASES = [
    ("no champion", Evidence(1, 0.3, VAL), None, "PROMOTE", 0, "first model, mIoU 0.3000"),
    ("no champion and no score", Evidence(1, None, VAL), None, "HOLD", 4, "the candidate has no score"),
    ("better", Evidence(2, 0.6001, VAL), Evidence(1, 0.6, VAL), "PROMOTE", 0, "better: mIoU 0.6001 against 0.6000"),
    ("equal", Evidence(2, 0.6, VAL), Evidence(1, 0.6, VAL), "REJECT", 4, "not better: mIoU 0.6000 against 0.6000"),
    ("lower", Evidence(2, 0.5, VAL), Evidence(1, 0.6, VAL), "REJECT", 4, "not better: mIoU 0.5000 against 0.6000"),
    ("other data", Evidence(2, 0.9, OTHER), Evidence(1, 0.6, VAL), "HOLD", 4, "different data"),
    (
        "older",
        Evidence(2, 0.9, VAL),
        Evidence(1, 0.6, OTHER, older=True),
        "HOLD",
        4,
        "champion 1 stands under an older",
    ),
    ("older, same", Evidence(2, 0.9, VAL), Evidence(1, 0.6, VAL, older=True), "HOLD", 4, "register that model again"),
    ("older candidate", Evidence(2, 0.9, OTHER, True), Evidence(1, 0.6, VAL), "HOLD", 4, "the candidate stands under"),
    ("both older", Evidence(2, 0.9, VAL, True), Evidence(1, 0.6, VAL, True), "PROMOTE", 0, "better: mIoU 0.9000"),
    ("no score", Evidence(2, None, VAL), Evidence(1, 0.6, VAL), "HOLD", 4, "the candidate has no score"),
    ("champion without", Evidence(2, 0.9, VAL), Evidence(1, None, VAL), "HOLD", 4, "champion 1 has no score"),
    ("both without", Evidence(2, None, VAL), Evidence(1, None, VAL), "HOLD", 4, "the candidate has no score"),
    ("itself", Evidence(1, 0.6, VAL), Evidence(1, 0.6, VAL), "CHAMPION ALREADY", 0, "nothing to decide"),
    ("itself without", Evidence(1, None, VAL), Evidence(1, None, VAL), "CHAMPION ALREADY", 0, "nothing to decide"),
]


@pytest.mark.parametrize(
    ("candidate", "champion", "outcome", "code", "reason"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_the_gate_decides(candidate: Evidence, champion: Evidence | None, outcome: str, code: int, reason: str) -> None:
    decision = decide_by_score(candidate, champion)
    assert (decision.outcome, decision.exit_code) == (outcome, code)
    assert reason in str(decision)
    assert str(decision).startswith(f"{outcome} version {candidate.version}: ")
    assert decision.candidate == candidate.version
    assert decision.champion == (champion.version if champion else None)


scores = st.none() | st.floats(0, 1)
someone = st.builds(Evidence, st.integers(1, 3), scores, st.sampled_from([VAL, OTHER]), st.booleans())


@given(someone, st.none() | someone)
def test_nothing_is_promoted_that_is_not_known_to_be_better(candidate: Evidence, champion: Evidence | None) -> None:
    decision = decide_by_score(candidate, champion)
    assert all(decision.reasons)
    if decision.outcome == "PROMOTE":
        assert candidate.miou is not None
        assert champion is None or (
            champion.miou is not None
            and candidate.miou > champion.miou
            and candidate.val_manifest == champion.val_manifest
            and candidate.older == champion.older
            and candidate.version != champion.version
        )
