from typing import Any

import pytest
from prefect.states import Failed

from flows.outcome import in_words, lacks_evidence
from flows.steps import may_mend
from roadseg.contracts.errors import UsageError
from roadseg.gate.decision import Decision, Difference, Judged, Rule
from roadseg.tracking.outage import unreached

KNOWN, UNKNOWN = Judged(7, "a", "b", 0.5), Judged(6, None, None, None)
DIFFERENCE = Difference(0.0123, 0.0, 0.02, 0.97, 0.0, 0.01, None)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (unreached("http://127.0.0.1:9", "connection refused"), True),
        (UsageError("models/bundle is missing"), False),
        (ValueError("a defect"), False),
    ],
)
def test_only_what_time_may_mend_is_tried_again(error: Exception, again: bool) -> None:
    assert may_mend(None, None, Failed(data=error)) is again


def decision(outcome: Any, reason: str = "", **more: Any) -> Decision:
    return Decision(outcome, (reason,), KNOWN, **{"champion": Judged(6, "c", "d", 0.4), **more})


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (decision("PROMOTE", difference=DIFFERENCE), "promoted v7 +0.012"),
        (decision("PROMOTE", champion=None), "promoted v7"),
        (decision("REJECT", difference=DIFFERENCE), "rejected v7 +0.012"),
        (decision("HOLD", "champion 6 has no score", champion=UNKNOWN), "held v7 for want of evidence"),
        (decision("CHAMPION ALREADY"), "v7 is champion already"),
    ],
)
def test_a_run_is_named_by_what_it_did(found: Decision, name: str) -> None:
    assert in_words(found) == name


def test_a_hold_lacks_evidence_only_where_something_could_not_be_had() -> None:
    assert lacks_evidence(decision("HOLD", "champion 6 has no score on the val split", champion=UNKNOWN))
    rule = Rule("promote.time_factor", "", 1.5, None, None, "HOLD", "nobody measured it")
    assert lacks_evidence(decision("HOLD", "nobody measured it", difference=DIFFERENCE, rules=(rule,)))
    assert not lacks_evidence(decision("HOLD", "the data cannot tell", difference=DIFFERENCE))
    assert not lacks_evidence(decision("HOLD", "the class table a decides otherwise", champion=UNKNOWN))
    assert not lacks_evidence(decision("REJECT", "surely worse", difference=DIFFERENCE))
