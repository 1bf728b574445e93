from collections.abc import Callable

import pytest
from mlflow import MlflowClient, MlflowException
from mlflow.entities import Run

from roadseg.contracts.errors import RoadsegError, UsageError
from roadseg.registry import ledger
from roadseg.registry.former_gate import Decision
from roadseg.registry.promote import promote
from roadseg.registry.versions import CHAMPION, MODEL, version_at
from roadseg.tracking.store import experiment_id

Enter = Callable[..., int]


def entries(client: MlflowClient) -> list[Run]:
    """Runs of the ledger, oldest first."""
    return list(client.search_runs([experiment_id(client, ledger.EXPERIMENT)], order_by=["attributes.start_time ASC"]))


def told(client: MlflowClient) -> list[tuple[str, str | None]]:
    return [(run.data.tags["decision"], run.data.tags.get("state")) for run in entries(client)]


def test_the_first_model_becomes_champion_and_says_so(client: MlflowClient, enter: Enter) -> None:
    enter()
    decision = promote(reason="we begin")
    assert (decision.outcome, decision.exit_code) == ("PROMOTE", 0)
    assert "first model" in str(decision)
    assert version_at(client, CHAMPION) == 1
    [run] = entries(client)
    tags = {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")}
    assert tags.pop("who")
    assert tags == {
        "decision": "PROMOTE",
        "state": "done",
        "from": "",
        "to": "1",
        "candidate": "1",
        "champion": "",
        "reasons": "; ".join(decision.reasons),
        "why": "we begin",
    }
    assert run.info.status == "FINISHED"


def test_a_champion_is_not_judged_again(client: MlflowClient, enter: Enter) -> None:
    enter()
    promote()
    before = told(client)
    decision = promote()
    assert (decision.outcome, decision.exit_code) == ("CHAMPION ALREADY", 0)
    assert told(client) == before


@pytest.mark.parametrize(
    ("second", "outcome", "reason"),
    [
        ({"miou": 0.51}, "PROMOTE", "better"),
        ({"miou": 0.5}, "REJECT", "not better"),
        ({"miou": 0.49}, "REJECT", "not better"),
        ({"miou": 0.9, "val_manifest": "d" * 64}, "HOLD", "different data"),
        ({"val_manifest": "d" * 64}, "HOLD", "no score"),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_second_version_is_judged_against_the_champion(
    client: MlflowClient, enter: Enter, second: dict[str, object], outcome: str, reason: str, dry_run: bool
) -> None:
    enter(miou=0.5)
    promote()
    enter(**second)
    decision = promote(dry_run=dry_run)
    moved = outcome == "PROMOTE"
    assert (decision.outcome, decision.exit_code) == (outcome, 0 if moved else 4)
    assert reason in str(decision)
    assert version_at(client, CHAMPION) == (2 if moved and not dry_run else 1)
    entry = [] if dry_run else [(outcome, "done" if moved else None)]
    assert told(client) == [("PROMOTE", "done"), *entry]
    assert {run.info.status for run in entries(client)} == {"FINISHED"}


def test_a_dry_run_writes_nothing_at_all(client: MlflowClient, enter: Enter) -> None:
    enter()
    assert promote(dry_run=True).outcome == "PROMOTE"
    assert version_at(client, CHAMPION) is None
    assert client.get_experiment_by_name(ledger.EXPERIMENT) is None


def test_an_older_version_can_be_named(client: MlflowClient, enter: Enter) -> None:
    enter(miou=0.6)
    enter(miou=0.5)
    assert promote(1).candidate == version_at(client, CHAMPION) == 1


@pytest.mark.parametrize("version", [0, 7])
def test_a_missing_version_is_named_and_nothing_written(client: MlflowClient, enter: Enter, version: int) -> None:
    enter()
    with pytest.raises(UsageError, match=f"no version {version}"):
        promote(version)
    assert told(client) == []


def test_with_nothing_registered_the_remedy_is_said(client: MlflowClient) -> None:
    with pytest.raises(UsageError, match="roadseg register"):
        promote()


@pytest.mark.parametrize(("died", "state"), [("before the alias", "undone"), ("after the alias", "done")])
def test_a_move_that_a_dead_process_left_is_settled(client: MlflowClient, enter: Enter, died: str, state: str) -> None:
    enter(miou=0.5)
    ledger.record(client, Decision("PROMOTE", ("first model",), 1, None), who="someone", why="")
    if died == "after the alias":
        client.set_registered_model_alias(MODEL, CHAMPION, "1")
    assert told(client) == [("PROMOTE", "intent")]
    promote()
    assert told(client)[0] == ("PROMOTE", state)
    assert version_at(client, CHAMPION) == 1
    assert not ledger.open_moves(client)


def test_the_intent_stands_before_the_alias_moves(
    client: MlflowClient, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter()
    seen: list[list[tuple[str, str | None]]] = []

    def refuse(*_: object) -> None:
        seen.append(told(client))
        raise MlflowException("the store is gone")

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", refuse)
    with pytest.raises(MlflowException, match="the store is gone"):
        promote()
    assert seen == [[("PROMOTE", "intent")]]
    assert told(client) == [("PROMOTE", "undone")]


def test_a_move_that_another_undid_is_an_error(
    client: MlflowClient, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(miou=0.5)
    promote()
    enter(miou=0.6)
    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", lambda *_: None)
    with pytest.raises(RoadsegError, match="someone else moved it"):
        promote()
    assert told(client)[-1] == ("PROMOTE", "undone")
    assert version_at(client, CHAMPION) == 1
