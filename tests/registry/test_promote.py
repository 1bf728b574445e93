import json
from dataclasses import replace
from pathlib import Path

import pytest
from contenders import BETTER, GOOD, NAME, SETTINGS, WORSE, Contenders, bundle_of, change_policy, val_tree
from mlflow import MlflowClient
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import write_evaluation
from roadseg.gate.decision import Decision
from roadseg.registry import ledger
from roadseg.registry.evidence.rescore import predict_val
from roadseg.registry.promote import promote
from roadseg.registry.versions import CANDIDATE, CHAMPION, MODEL, register, version_at
from roadseg.tracking.store import artifact_names

pytestmark = pytest.mark.usefixtures("asked")


def told(client: MlflowClient) -> list[tuple[str, str | None]]:
    return [(each.tags["decision"], each.tags.get("state")) for each in reversed(ledger.ledger_entries(client))]


def test_the_first_model_becomes_champion_and_the_ledger_says_why(contenders: Contenders) -> None:
    client = contenders.client
    contenders.enter(GOOD)
    decision = promote(reason="we begin")
    assert (decision.outcome, decision.exit_code) == ("PROMOTE", 0)
    assert "first model" in str(decision)
    assert (version_at(client, CHAMPION), version_at(client, CANDIDATE)) == (1, None)
    [entry] = ledger.ledger_entries(client)
    assert {"decision": "PROMOTE", "state": "done", "to": "1", "why": "we begin"}.items() <= entry.tags.items()
    assert entry.tags["weights"] == contenders.entered[1].weights
    assert artifact_names(client, entry.run_id) == {"decision.json", "decision.html"}
    assert Decision.from_json(json.loads(Path("reports/decision.json").read_text())) == decision
    assert promote().outcome == "CHAMPION ALREADY"
    assert len(ledger.ledger_entries(client)) == 1


@pytest.mark.parametrize(
    ("favour", "outcome", "reason"),
    [(BETTER, "PROMOTE", "better: mIoU"), (WORSE, "REJECT", "surely worse"), (GOOD - 1e-6, "HOLD", "cannot tell")],
)
def test_a_second_model_is_judged_against_the_champion(
    contenders: Contenders, favour: float, outcome: str, reason: str
) -> None:
    client = contenders.client
    contenders.enter(GOOD)
    promote()
    version = contenders.enter(favour)
    dry = promote(dry_run=True)
    assert (dry.outcome, told(client)) == (outcome, [("PROMOTE", "done")])
    decision = promote()
    assert replace(decision, rules=()) == replace(dry, rules=())  # among the rules is one about seconds
    assert reason in str(decision)
    assert version_at(client, CHAMPION) == (version if outcome == "PROMOTE" else 1)
    assert told(client)[1:] == [(outcome, "done" if outcome == "PROMOTE" else None)]
    tags = client.get_model_version(MODEL, str(version)).tags
    assert tags["decision"] == outcome
    assert reason in tags["decision.reason"]
    assert tags["decision.difference"].count(".") == 3


def test_a_dry_run_leaves_mlflow_as_it_was(contenders: Contenders) -> None:
    contenders.enter(GOOD)
    assert promote(dry_run=True).outcome == "PROMOTE"
    assert version_at(contenders.client, CHAMPION) is None
    assert contenders.client.get_experiment_by_name(ledger.EXPERIMENT) is None


def test_a_model_that_answers_otherwise_than_it_was_evaluated_is_rejected(contenders: Contenders) -> None:
    contenders.enter(GOOD)
    bundle = bundle_of(contenders.tree / "bundle", WORSE)
    lie = replace(predict_val(bundle_of(contenders.tree / "other", BETTER), SETTINGS), weights=bundle.card["weights"])
    write_evaluation(contenders.tree / "lie", lie)
    register(contenders.publish(bundle.folder, contenders.tree / "lie"))
    decision = promote()
    assert decision.outcome == "REJECT"
    assert "counted otherwise than in its evaluation" in str(decision)


def test_what_a_person_must_approve_is_held_with_the_command(contenders: Contenders) -> None:
    change_policy(contenders.tree, approval=True)
    contenders.enter(GOOD)
    held = promote()
    assert held.outcome == "HOLD"
    assert "`roadseg promote 1`" in str(held)
    shown: list[Decision] = []
    dry = promote(dry_run=True, approve=lambda decision: bool(shown.append(decision)))
    assert (dry.outcome, shown) == ("PROMOTE", [])
    assert "a person must approve" in str(dry)
    assert promote(approve=lambda decision: bool(shown.append(decision))).outcome == "HOLD"
    assert "first model" in str(shown[0])
    done = CliRunner().invoke(app, ["promote", "1", "--yes"])
    assert done.exit_code == 0, done.output
    assert version_at(contenders.client, CHAMPION) == 1
    assert ledger.ledger_entries(contenders.client)[0].tags["approver"]


@pytest.mark.parametrize("version", [0, 7])
def test_a_missing_version_is_named_and_nothing_written(contenders: Contenders, version: int) -> None:
    contenders.enter(GOOD)
    with pytest.raises(UsageError, match=f"no version {version}"):
        promote(version)
    assert told(contenders.client) == []


def test_with_nothing_registered_the_remedy_is_said(contenders: Contenders) -> None:
    with pytest.raises(UsageError, match="roadseg register"):
        promote()


def test_a_model_of_another_class_table_is_taken_by_a_person_alone(contenders: Contenders) -> None:
    contenders.enter(GOOD)
    promote()
    table = ClassTable.find(NAME).model_copy(update={"name": "ours"})
    val_tree(contenders.tree, table=table)
    version = contenders.enter(WORSE, table=table)
    held = CliRunner().invoke(app, ["promote"])
    assert held.exit_code == 4
    assert "--new-table" in held.output
    assert version_at(contenders.client, CHAMPION) == 1
    taken = CliRunner().invoke(app, ["promote", "--new-table", "--reason", "we renamed our classes"])
    assert taken.exit_code == 0, taken.output
    assert version_at(contenders.client, CHAMPION) == version
    newest = ledger.ledger_entries(contenders.client)[0]
    assert (newest.origin, newest.target, newest.tags["why"]) == (1, version, "we renamed our classes")
