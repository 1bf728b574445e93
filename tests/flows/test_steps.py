import logging
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.states import Failed

from flows import outcome
from flows.outcome import in_words, lacks_evidence
from flows.steps import may_mend
from roadseg.contracts.errors import UsageError
from roadseg.gate.decision import BY_A_PERSON, Decision, Difference, Judged, Rule
from roadseg.tracking.outage import unreached
from roadseg.workspace.records import RunRecord

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


class Known:
    """A run of a deployment, and what was written of it."""

    id, deployed = "abc", True

    def __init__(self) -> None:
        self.record = RunRecord(run=self.id, name="green-fox", requester="anna", reason="new data")

    def note(self, **fields: Any) -> None:
        self.record = self.record.model_copy(update=fields)

    def name_it(self, text: str) -> None:
        self.note(name=text)

    def announce(self, event: str, resource: str, **payload: Any) -> None:
        self.note(problem=event)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What people are told; on a server that others share."""
    said: list[str] = []
    monkeypatch.setattr(outcome, "tell", lambda kind, *_, **__: said.append(kind))
    monkeypatch.setattr(outcome, "deployment", SimpleNamespace(name="retrain-road-1234"))
    return said


def test_where_the_policy_wants_a_person_one_is_asked_by_a_run_of_its_own(
    told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, Any]] = []
    monkeypatch.setattr(outcome, "run_deployment", lambda name, parameters, **_: started.append((name, parameters)))
    run: Any = Known()
    state: Any = outcome.conclude(run, decision("HOLD", f"{BY_A_PERSON} (promote.approval)"))
    assert started == [("promote/promote-road-1234", {"version": 7, "reason": "new data", "requester": "anna"})]
    assert (state.name, state.type.value) == ("Asked", "COMPLETED")
    assert (run.record.name, run.record.final, run.record.state) == ("asked v7", True, "Asked")
    assert told == [], "the run that asks tells"


def test_where_nobody_can_be_asked_the_version_is_held_and_people_are_told(
    told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no such deployment")

    monkeypatch.setattr(outcome, "run_deployment", refuse)
    monkeypatch.setattr(outcome, "get_run_logger", lambda: logging.getLogger("test"))
    run: Any = Known()
    held = decision("HOLD", f"{BY_A_PERSON} (promote.approval)")
    assert outcome.conclude(run, held) == held
    assert (run.record.name, told, run.record.problem) == ("held v7", ["held"], "roadseg.gate.held")


def test_a_hold_lacks_evidence_only_where_something_could_not_be_had() -> None:
    assert lacks_evidence(decision("HOLD", "champion 6 has no score on the val split", champion=UNKNOWN))
    rule = Rule("promote.time_factor", "", 1.5, None, None, "HOLD", "nobody measured it")
    assert lacks_evidence(decision("HOLD", "nobody measured it", difference=DIFFERENCE, rules=(rule,)))
    assert not lacks_evidence(decision("HOLD", "the data cannot tell", difference=DIFFERENCE))
    assert not lacks_evidence(decision("HOLD", "the class table a decides otherwise", champion=UNKNOWN))
    assert not lacks_evidence(decision("REJECT", "surely worse", difference=DIFFERENCE))
