"""Promotion against a real server of MLflow, models asked and scored in processes of their own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from contenders import Contenders, val_tree
from forks import MOVED, ends, forked
from servers import MlflowServer

from roadseg.contracts.errors import RoadsegError
from roadseg.registry import ledger
from roadseg.registry.alias import move, settle_moves
from roadseg.registry.evidence import gather, rescore
from roadseg.registry.evidence.query import Answered
from roadseg.registry.promote import promote
from roadseg.registry.versions import CHAMPION, version_at
from roadseg.tracking.store import artifact_names, connect


@pytest.fixture
def contenders(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Contenders]:
    """A champion of a small val split, a better and a worse candidate of a larger one, and the server they are on."""
    monkeypatch.chdir(val_tree(tmp_path / "tree"))
    (tmp_path / "server").mkdir()
    with MlflowServer(tmp_path / "server", empty_store) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        found = Contenders(connect(), tmp_path / "tree", tmp_path / "made")
        found.enter(0.2)
        move(found.client, {"kind": "promote", "decision": "PROMOTE", "from": "", "to": "1", "who": "we"})
        val_tree(tmp_path / "tree", drives=20)
        for favour in (0.0, 0.4):
            found.enter(favour)
        yield found


def test_the_larger_val_split_is_scored_once_for_all_machines_and_two_at_once_leave_one_champion(
    contenders: Contenders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = contenders.client
    decision = promote(2)
    assert decision.outcome == "PROMOTE", str(decision)
    assert (decision.images, version_at(client, CHAMPION)) == (40, 2)
    assert decision.champion
    run_id = contenders.entered[1].run_id
    assert artifact_names(client, run_id, f"evaluation/{decision.champion.key}") >= {"images.parquet", "confusion.npy"}

    def nobody(*_: object, **__: object) -> None:
        raise RoadsegError("predicted a second time")

    settled = tmp_path / "another"
    monkeypatch.setenv("ROADSEG_HOME", str(settled))
    monkeypatch.setattr(rescore, "ask", nobody)
    monkeypatch.setattr(gather, "query", lambda *_: Answered([], seconds=1.0, beside=1.0))
    move(client, {"kind": "rollback", "decision": "ROLLBACK", "from": "2", "to": "1", "who": "we"})
    again = promote(2)
    assert again.outcome == "PROMOTE", str(again)
    assert again.difference == decision.difference
    assert promote(3).outcome == "REJECT"

    tags = {"kind": "promote", "decision": "PROMOTE", "from": "2", "who": "we"}
    children = [
        forked(lambda to=target: move(connect(), tags | {"to": str(to)}), ROADSEG_HOME=str(tmp_path / f"home{target}"))
        for target in (1, 3)
    ]
    assert ends(children) == [0, MOVED]
    champion = settle_moves(client)
    assert champion in (1, 3)
    assert ledger.position(client) == champion
    assert not ledger.open_moves(client)
    shutil.rmtree(settled)
