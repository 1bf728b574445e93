"""The bytes behind `champion` are replaced by somebody who may write the version's files and tags: a trainer."""

import shutil

import pytest
from contenders import BETTER, GOOD, WORSE, Contenders

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import home
from roadseg.registry import ledger
from roadseg.registry.alias import settle_moves
from roadseg.registry.champion import fetch_champion
from roadseg.registry.evidence.stored import Stored
from roadseg.registry.promote import promote
from roadseg.registry.rollback import roll_back
from roadseg.registry.versions import CHAMPION, MODEL, fetch_bundle, version_at
from roadseg.registry.watch import Watch

pytestmark = pytest.mark.usefixtures("asked")
NAME = f"models:/{MODEL}@{CHAMPION}"


def replace_files(contenders: Contenders, version: int, by: int) -> None:
    """Put another version's files and tags behind a version, in MLflow; this machine has no copy."""
    mine, other = contenders.entered[version], Stored.find(contenders.client, by)
    contenders.client.log_model_artifacts(mine.model_id, str(other.bundle.folder), "artifacts/bundle")
    contenders.client.set_model_version_tag(MODEL, str(version), "weights", contenders.entered[by].weights)
    shutil.rmtree(home() / "reuse")


def test_a_champion_whose_files_were_replaced_is_loaded_by_nobody(contenders: Contenders) -> None:
    contenders.enter(GOOD)
    contenders.enter(WORSE)
    promote(1)
    assert Bundle.open(fetch_bundle(NAME)).card["weights"] == contenders.entered[1].weights
    replace_files(contenders, 1, by=2)
    said = (
        f"version 1 became champion with the weights {contenders.entered[1].weights[:12]}, and MLflow holds "
        f"{contenders.entered[2].weights[:12]}: .*`roadseg rollback`, or register"
    )
    for name in (NAME, f"models:/{MODEL}/1"):
        with pytest.raises(UsageError, match=said):
            fetch_bundle(name)
    with pytest.raises(UsageError, match=said):
        Stored.find(contenders.client, 1).bundle  # noqa: B018
    with pytest.raises(UsageError, match="became champion with"):
        fetch_champion().bundle  # type: ignore[union-attr] # noqa: B018
    look = Watch([CHAMPION]).look()
    assert look["found"] == {}
    assert "became champion with" in look["problem"]
    contenders.enter(BETTER)
    decision = promote(3)
    assert decision.outcome == "HOLD"
    assert "version 1 became champion with the weights" in str(decision)


def test_from_a_replaced_champion_and_not_to_one_a_rollback_goes(contenders: Contenders) -> None:
    for favour in (GOOD, BETTER):
        contenders.enter(favour)
        promote()
    replace_files(contenders, 2, by=1)
    assert roll_back(reason="its files were replaced") == (2, 1)
    assert version_at(contenders.client, CHAMPION) == 1
    [entry] = ledger.done_moves(contenders.client, 1)
    assert entry.tags["left.weights"] == contenders.entered[2].weights, "what it was promoted with, not its tag"
    with pytest.raises(UsageError, match="version 2 became champion with"):
        roll_back(2, reason="back")
    assert version_at(contenders.client, CHAMPION) == 1


def test_of_a_version_that_people_moved_alone_the_ledger_says_nothing(contenders: Contenders) -> None:
    contenders.enter(GOOD)
    contenders.client.set_registered_model_alias(MODEL, CHAMPION, "1")
    settle_moves(contenders.client)
    assert Stored.find(contenders.client, 1).promised is None
    assert Bundle.open(fetch_bundle(NAME)).card["weights"] == contenders.entered[1].weights
