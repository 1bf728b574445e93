"""The monitor flow against a Prefect server; what it looks with is held by the tests of drift and registry."""

from pathlib import Path
from typing import Any

import pytest
from drifting import new_pictures, predictor_in, reference_of, seen_in

from flows import monitor as flow
from flows import run
from roadseg.contracts.files import home, read_json
from roadseg.drift.finding import Seen
from roadseg.registry import drift
from roadseg.workspace.records import find_record, read_records


@pytest.fixture(scope="module")
def known(many_drives: Path, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """New drives as they are, and what they are compared with."""
    folder, predictor = tmp_path_factory.mktemp("known"), predictor_in(tmp_path_factory.mktemp("model"))
    return seen_in(new_pictures(many_drives, folder / "new"), reference_of(many_drives, predictor), predictor)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, known: Seen, prefect_api: str) -> list[tuple[str, Any]]:
    """Looks without MLflow; who was told what, and the events."""
    said: list[tuple[str, Any]] = []
    monkeypatch.setattr(
        drift, "look_for_drift", lambda folder, *_, **__: seen_in(folder, known.reference, known.predictor)
    )
    monkeypatch.setattr(flow, "tell", lambda kind, title, **more: said.append((kind, more)))
    monkeypatch.setattr(run, "tell", lambda kind, title, **more: said.append((kind, more)))
    monkeypatch.setattr(run, "emit_event", lambda event, **more: said.append((event, more)))
    return said


def test_drift_leaves_a_page_a_record_an_event_and_a_message(
    told: list[tuple[str, Any]], many_drives: Path, tmp_path: Path
) -> None:
    folder = new_pictures(many_drives, tmp_path / "new", lambda image: image // 2)
    state = flow.monitor(str(folder), return_state=True)
    assert (state.type, state.name) == ("COMPLETED", "Drift")
    [record] = read_records()
    assert (record.state, record.outcome, record.version) == ("Drift", "drift", 7)
    assert record.name.startswith("drift: brightness")
    left = home() / "flows" / record.run
    assert "<h1" in (left / "drift.html").read_text()
    assert "brightness" in read_json(left / "drift.json", "drift-finding", "")["drifted"]
    events = dict(told)
    payload = events["roadseg.drift.found"]["payload"]
    assert (payload["version"], payload["folder"], payload["frames"]) == (7, str(folder), 20)
    assert payload["page"] == str(left / "drift.html")
    assert "brightness lower" in events["drift"]["reason"]


def test_without_drift_nobody_hears_of_it(told: list[tuple[str, Any]], many_drives: Path, tmp_path: Path) -> None:
    state = flow.monitor(str(new_pictures(many_drives, tmp_path / "new")), return_state=True)
    assert state.name == "Quiet"
    [record] = read_records()
    assert record.name == "no drift in 20 pictures of 10 drives"
    assert (home() / "flows" / record.run / "drift.html").exists()
    assert told == []


def test_where_nothing_can_be_compared_it_holds_and_says_why(
    told: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def away(*_: Any, **__: Any) -> Seen:
        raise drift.OutOfReach("its images are away: bring them")

    monkeypatch.setattr(drift, "look_for_drift", away)
    state = flow.monitor(str(tmp_path), return_state=True)
    assert (state.name, state.message) == ("Held", "its images are away: bring them")
    assert told == [("held", {"reason": "its images are away: bring them", "link": ""})]
    assert find_record(read_records()[0].run).outcome == "held"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"folder": "new"}, "folder new: give the whole path"),
        ({"folder": "/new", "level": 0.9}, "level"),
    ],
)
def test_parameters_are_checked_before_anything_is_looked_at(
    told: list[tuple[str, Any]], given: dict[str, Any], said: str
) -> None:
    state = flow.monitor(**given, return_state=True)
    assert state.is_failed()
    assert said in str(state.message)
    assert not any(kind == "drift" for kind, _ in told)
