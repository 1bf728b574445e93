import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from forks import MOVED, ends, forked
from mlflow import MlflowClient, MlflowException

from roadseg.contracts.errors import Busy, RoadsegError
from roadseg.contracts.files import home
from roadseg.registry import alias, ledger
from roadseg.registry.alias import FAILPOINTS, Moved, move, settle_moves
from roadseg.registry.ledger import DONE, INTENT, UNDONE
from roadseg.registry.versions import CANDIDATE, CHAMPION, MODEL, version_at
from roadseg.tracking.store import connect

Killed = Callable[[Path, str, Callable[[], None]], bool]


@pytest.fixture
def client(empty_store: Path) -> MlflowClient:
    """A store of this test's own with four versions, of which the second is champion and the fourth candidate."""
    (home() / "mlflow").mkdir(parents=True)
    shutil.copy2(empty_store, home() / "mlflow")
    client = connect()
    client.create_registered_model(MODEL)
    for number in range(4):
        client.create_model_version(MODEL, f"file:///models/{number}")
    move(client, tags_of("", 1))
    move(client, tags_of(1, 2))
    client.set_registered_model_alias(MODEL, CANDIDATE, "4")
    return client


def tags_of(before: object, now: object, **more: str) -> dict[str, str]:
    told = {"kind": "promote", "decision": "PROMOTE", "reasons": "better", "who": "we", "why": "a test"}
    return told | {"from": str(before), "to": str(now), "candidate": str(now)} | more


def states(client: MlflowClient) -> list[tuple[str, int | None, int | None, str | None]]:
    """Kind, ends and state of every entry, the oldest first."""
    found = [(each.kind, each.origin, each.target, each.tags.get("state")) for each in ledger.ledger_entries(client)]
    return found[::-1]


def explained(client: MlflowClient) -> bool:
    """Whether the done moves lead from none to where the alias stands, one from where the other ended."""
    at = None
    for each in reversed(ledger.done_moves(client)):
        if each.origin != at:
            return False
        at = each.target
    aliases = client.get_registered_model(MODEL).aliases
    champion, candidate = aliases.get(CHAMPION), aliases.get(CANDIDATE)
    return str(at) == str(champion) and (candidate is None or candidate != champion)


def test_a_move_is_an_intent_before_and_done_after(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    really = MlflowClient.set_registered_model_alias

    def watched(self: MlflowClient, *arguments: str) -> None:
        seen.append(states(client)[-1])
        really(self, *arguments)

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", watched)
    move(client, tags_of(2, 3))
    assert seen == [("promote", 2, 3, INTENT)]
    assert states(client)[-1] == ("promote", 2, 3, DONE)
    assert explained(client)


def test_the_version_says_what_was_decided_about_it(client: MlflowClient) -> None:
    move(client, tags_of(2, 3, difference="0.012345", low="0.001", high="0.02"))
    assert client.get_model_version(MODEL, "3").tags == {
        "decision": "PROMOTE",
        "decision.difference": "+0.0123 (+0.0010 to +0.0200)",
        "decision.reason": "better",
        "decision.who": "we",
        "decision.why": "a test",
    }


def test_the_candidate_never_stands_on_the_champion(client: MlflowClient) -> None:
    move(client, tags_of(2, 4))
    assert version_at(client, CANDIDATE) is None
    client.set_registered_model_alias(MODEL, CANDIDATE, "3")
    client.set_registered_model_alias(MODEL, CHAMPION, "3")
    settle_moves(client)
    assert version_at(client, CANDIDATE) is None
    assert explained(client)


def test_what_was_decided_about_another_champion_is_not_carried_out(client: MlflowClient) -> None:
    before = states(client)
    with pytest.raises(Moved, match="alias champion is at version 2, not 1"):
        move(client, tags_of(1, 3))
    assert states(client) == before


@pytest.mark.parametrize("now", [3, None])
def test_a_move_by_hand_is_respected_and_written_down_once(client: MlflowClient, now: int | None) -> None:
    if now:
        client.set_registered_model_alias(MODEL, CHAMPION, str(now))
    else:
        client.delete_registered_model_alias(MODEL, CHAMPION)
    assert settle_moves(client) == settle_moves(client) == now
    assert states(client)[2:] == [("hand-moved", 2, now, DONE)]
    assert explained(client)
    move(client, tags_of(now or "", 4))
    assert explained(client)


@pytest.mark.parametrize("point", FAILPOINTS)
def test_a_move_killed_anywhere_is_finished_or_undone_by_the_next_call(
    point: str, client: MlflowClient, killed: Killed
) -> None:
    folder = home().parent
    assert home() == folder / "home"
    assert killed(folder, point, lambda: move(connect(), tags_of(2, 4)))
    champion = settle_moves(client)
    assert champion == (2 if point in ("move:intend", "move:intended") else 4)
    assert explained(client)
    assert not ledger.open_moves(client)
    if champion == 4:
        assert client.get_model_version(MODEL, "4").tags["decision"] == "PROMOTE"
    move(client, tags_of(champion, 3))
    assert explained(client)


def test_the_intent_of_another_machine_is_waited_for_until_its_deadline(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alias, "TRIES", 2)
    theirs = tags_of(2, 3) | {"home": "another", "deadline": str(time.time() + 60)}
    entry = ledger.record(client, theirs, INTENT)
    with pytest.raises(Busy, match="from another machine"):
        move(client, tags_of(2, 4))
    assert version_at(client, CHAMPION) == 2
    assert [state for *_, state in states(client)[2:]] == [INTENT, UNDONE, UNDONE]
    client.set_tag(entry.run_id, "deadline", "1")
    move(client, tags_of(2, 4))
    assert version_at(client, CHAMPION) == 4
    assert explained(client)


def test_a_whole_move_that_passed_before_the_intent_is_not_overwritten(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = ledger.record

    def overtaken(client: MlflowClient, tags: dict[str, str], state: str | None = None) -> ledger.Entry:
        client.set_registered_model_alias(MODEL, CHAMPION, "3")
        really(client, tags_of(2, 3), DONE)
        return really(client, tags, state)

    monkeypatch.setattr(ledger, "record", overtaken)
    with pytest.raises(Moved, match="at version 3, not 2"):
        move(client, tags_of(2, 4))
    assert states(client)[2:] == [("promote", 2, 3, DONE), ("promote", 2, 4, UNDONE)]
    assert version_at(client, CHAMPION) == 3
    assert explained(client)


@pytest.mark.parametrize("between", ["alias and ledger", "position and open moves"])
def test_a_whole_move_that_passes_between_the_looks_of_a_settling_is_no_move_by_hand(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, between: str
) -> None:
    whole = between == "alias and ledger"
    name = "open_moves" if whole else "position"
    really, theirs = getattr(ledger, name), tags_of(2, 3) | {"home": "another", "deadline": str(time.time() + 60)}
    entry = None
    if not whole:
        entry = ledger.record(client, theirs, INTENT)
        client.set_registered_model_alias(MODEL, CHAMPION, "3")

    def passing(client: MlflowClient) -> object:
        monkeypatch.setattr(ledger, name, really)
        if entry is None:
            moved = ledger.record(client, theirs, INTENT)
            client.set_registered_model_alias(MODEL, CHAMPION, "3")
            ledger.close(client, moved, DONE)
            return really(client)
        seen = really(client)
        ledger.close(client, entry, DONE)
        return seen

    monkeypatch.setattr(ledger, name, passing)
    assert settle_moves(client) == 3
    assert settle_moves(client) == 3
    assert states(client)[2:] == [("promote", 2, 3, DONE)]
    assert explained(client)


def test_a_store_that_breaks_down_leaves_no_open_move(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise MlflowException("the store is gone")

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", refuse)
    with pytest.raises(MlflowException, match="the store is gone"):
        move(client, tags_of(2, 3))
    assert states(client)[-1] == ("promote", 2, 3, UNDONE)


def test_a_move_that_another_undid_is_an_error(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", lambda *_: None)
    with pytest.raises(RoadsegError, match="someone else moved it"):
        move(client, tags_of(2, 3))
    assert states(client)[-1] == ("promote", 2, 3, UNDONE)
    assert explained(client)


def test_entries_are_in_order_whatever_a_clock_says(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    move(client, tags_of(2, 3))
    assert states(client)[-1] == ("promote", 2, 3, DONE)
    assert explained(client)


@pytest.mark.parametrize("homes", [1, 2])
def test_two_at_once_end_with_one_champion_and_a_whole_ledger(client: MlflowClient, homes: int, tmp_path: Path) -> None:
    uri = f"sqlite:///{home() / 'mlflow/mlflow.db'}"
    children = [
        forked(
            lambda to=number + 3: move(connect(), tags_of(2, to)),
            ROADSEG_HOME=str(tmp_path / f"home{number % homes}"),
            MLFLOW_TRACKING_URI=uri,
        )
        for number in range(2)
    ]
    assert ends(children) == [0, MOVED]
    assert settle_moves(client) in (3, 4)
    assert explained(client)
    assert not ledger.open_moves(client)


@pytest.mark.soak
def test_a_hundred_kills_at_random_moments_leave_nothing_unexplained(client: MlflowClient, tmp_path: Path) -> None:
    chance, uri = random.Random(0), f"sqlite:///{home() / 'mlflow/mlflow.db'}"

    def forever() -> None:
        while True:
            champion = settle_moves(connect())
            move(connect(), tags_of(champion or "", chance.choice([each for each in (1, 2, 3, 4) if each != champion])))

    for _ in range(100):
        child = forked(forever, MLFLOW_TRACKING_URI=uri)
        time.sleep(chance.uniform(0.05, 1.0))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        settle_moves(client)
        assert explained(client)
        assert not ledger.open_moves(client)
    assert len(ledger.done_moves(client)) > 50
