from collections.abc import Callable
from pathlib import Path

import pytest
from contenders import BETTER, GOOD, WORSE, Contenders, change_policy
from mlflow import MlflowClient
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts.errors import RoadsegError, UsageError
from roadseg.contracts.files import home
from roadseg.registry import ledger, rollback
from roadseg.registry.alias import FAILPOINTS, settle_moves
from roadseg.registry.evidence.query import Answered
from roadseg.registry.history import history_rows
from roadseg.registry.promote import promote
from roadseg.registry.versions import CANDIDATE, CHAMPION, MODEL, version_at

pytestmark = pytest.mark.usefixtures("asked")


def told(client: MlflowClient) -> list[tuple[str, str | None]]:
    return [(each.tags["decision"], each.tags.get("state")) for each in reversed(ledger.ledger_entries(client))]


def test_a_rollback_brings_the_one_before_back_and_the_same_night_does_not_undo_it(
    contenders: Contenders, asked: list[str]
) -> None:
    client = contenders.client
    for favour in (GOOD, BETTER):
        contenders.enter(favour)
        promote()
    asked.clear()
    done = CliRunner().invoke(app, ["rollback", "--reason", "misses wet roads"])
    assert done.exit_code == 0
    assert done.output.endswith("\nversion 1 is champion, version 2 was\n")
    assert asked == ["query"]
    assert version_at(client, CHAMPION) == 1
    client.set_registered_model_alias(MODEL, CANDIDATE, "2")
    assert promote(approve=lambda _: True).outcome == "HOLD"
    decision = promote(2)
    assert decision.outcome == "HOLD"
    assert "misses wet roads, and nothing has changed since" in str(decision)
    with pytest.raises(UsageError, match="no champion before version 1"):
        rollback.roll_back(reason="further")
    rows = history_rows()
    assert [row["what"] for row in rows] == ["hold", "hold", "rollback", "promote", "promote"]
    assert (rows[2]["from"], rows[2]["to"]) == ("2", "1")
    assert "misses wet roads" in rows[2]["why"]
    said = CliRunner().invoke(app, ["models", "history"]).output.splitlines()
    assert f"{rows[2]['when']}  rollback  2 -> 1  by {rows[2]['who']}" in said
    assert f"  why: {rows[2]['why']}" in said
    assert f"{rows[0]['when']}  hold  version 2 against 1  by {rows[0]['who']}" in said
    change_policy(contenders.tree, gain=0.001)  # something has changed
    assert promote().outcome == "PROMOTE"


def test_a_rollback_to_what_does_not_answer_moves_nothing(contenders: Contenders) -> None:
    for favour in (GOOD, BETTER):
        contenders.enter(favour)
        promote()
    before = told(contenders.client)
    for model in (home() / "reuse/models").rglob("model.keras"):
        model.write_bytes(model.read_bytes()[:-30])
    with pytest.raises(RoadsegError, match=r"version 1 is not fit to serve: .*model\.keras is refused"):
        rollback.roll_back(reason="back")
    assert told(contenders.client) == before
    assert version_at(contenders.client, CHAMPION) == 2
    assert rollback.roll_back(reason="back") == (2, 1)  # the copy was damaged, not the model in MLflow


def test_what_it_could_be_compared_with_may_be_damaged(
    contenders: Contenders, capsys: pytest.CaptureFixture[str]
) -> None:
    for favour in (GOOD, BETTER):
        contenders.enter(favour)
        promote()
    Path("data/manifest.parquet").write_bytes(b"PAR1")
    assert rollback.roll_back(reason="back") == (2, 1)
    assert "its counts are not compared: data/manifest.parquet" in capsys.readouterr().err


def test_a_champion_moved_by_hand_is_judged_against(contenders: Contenders) -> None:
    client = contenders.client
    for favour in (GOOD, WORSE):
        contenders.enter(favour)
    promote(1)
    client.set_registered_model_alias(MODEL, CHAMPION, "2")
    version = contenders.enter(BETTER)
    decision = promote()
    assert decision.champion
    assert decision.champion.version == 2
    assert version_at(client, CHAMPION) == version
    assert [entry.kind for entry in ledger.ledger_entries(client)] == ["promote", "hand-moved", "promote"]


@pytest.mark.parametrize("point", FAILPOINTS)
def test_a_rollback_killed_anywhere_is_finished_or_undone_by_the_next_call(
    point: str,
    contenders: Contenders,
    killed: Callable[[Path, str, Callable[[], None]], bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for favour in (GOOD, BETTER):
        contenders.enter(favour)
        promote()
    monkeypatch.setattr(rollback, "query", lambda *_: Answered([]))  # a fork of a process with TensorFlow hangs in it
    assert killed(home().parent, point, lambda: rollback.roll_back(reason="misses wet roads"))
    champion = settle_moves(contenders.client)
    begun = point not in ("move:intend", "move:intended")
    assert champion == (1 if begun else 2)
    assert ledger.position(contenders.client) == champion
    assert not ledger.open_moves(contenders.client)
    assert told(contenders.client).count(("ROLLBACK", "done")) == begun
    if not begun:
        assert rollback.roll_back(reason="misses wet roads") == (2, 1)
