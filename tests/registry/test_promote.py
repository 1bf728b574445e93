import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from contenders import SETTINGS, Contenders, bundle_of, score_here, val_tree
from mlflow import MlflowClient
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts.errors import RoadsegError, UsageError
from roadseg.contracts.evaluation import write_evaluation
from roadseg.contracts.files import home
from roadseg.contracts.manifest import read_manifest
from roadseg.registry import gather, ledger, query, rescore, rollback
from roadseg.registry.decision import Decision
from roadseg.registry.history import history_rows
from roadseg.registry.promote import promote
from roadseg.registry.rescore import predict_val
from roadseg.registry.versions import CANDIDATE, CHAMPION, MODEL, register, version_at, version_rows
from roadseg.tracking.store import artifact_names, connect

GOOD, BETTER, WORSE = 0.2, 0.0, 0.4  # favour of one class: the less, the better


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contenders")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tree = val_tree(tmp_path / "tree")
    monkeypatch.chdir(tree)
    return tree


@pytest.fixture
def contenders(empty_store: Path, tree: Path, made: Path) -> Contenders:
    (home() / "mlflow").mkdir(parents=True)
    shutil.copy2(empty_store, home() / "mlflow")
    return Contenders(connect(), tree, made)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Asks models in this process, which has Keras loaded already; what was asked and scored, in order."""
    said: list[str] = []

    def query_here(bundle: Path, evaluation: Path | None, other: Path | None = None) -> query.Answered:
        said.append("query")
        return query.load_and_ask(bundle, evaluation, other)

    def score_and_say(*arguments: str, **options: Any) -> dict[str, Any]:
        said.append("score")
        return score_here(*arguments, **options)

    for module in (gather, rollback):
        monkeypatch.setattr(module, "query", query_here)
    monkeypatch.setattr(rescore, "ask", score_and_say)
    return said


def policy(tree: Path, **changes: Any) -> None:
    params = yaml.safe_load((tree / "params.yaml").read_text())
    params["promote"] |= changes
    (tree / "params.yaml").write_text(yaml.safe_dump(params))


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
    assert artifact_names(client, entry.run_id) == {"decision.json"}
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


def test_a_val_image_that_the_candidate_has_seen_takes_its_drive_out(contenders: Contenders) -> None:
    contenders.enter(GOOD)
    promote()
    row = read_manifest(contenders.tree / "data/manifest.parquet").records("val")[0]
    seen = [{"sample": "train/x/1", "drive": "x", "image_sha": row["image_sha"], "phash": 1}]
    contenders.enter(BETTER, seen=seen)
    decision = promote()
    assert [each.drive for each in decision.left_out] == ["00"]
    assert "left out: 1 drives with 2 images" in str(decision)
    assert "00" not in decision.drives
    assert len(decision.drives) == 15


def test_what_an_ancestor_has_seen_takes_its_drive_out_too(contenders: Contenders) -> None:
    row = read_manifest(contenders.tree / "data/manifest.parquet").records("val")[0]
    seen = [{"sample": "train/x/1", "drive": "x", "image_sha": row["image_sha"], "phash": 1}]
    contenders.enter(WORSE, seen=seen)
    parent = contenders.entered[1].fingerprint
    contenders.enter(GOOD, parent=parent)
    [left] = promote().left_out
    assert (left.drive, left.images) == ("00", 2)
    assert f"of ancestor {parent[:8]} of version 2" in left.why


def test_an_ancestor_that_nobody_knows_holds(contenders: Contenders) -> None:
    contenders.enter(GOOD, parent="a" * 64)
    decision = promote()
    assert decision.outcome == "HOLD"
    assert "what ancestor aaaaaaaaaaaa of version 1 was trained on is not in MLflow" in str(decision)


def test_a_model_that_gives_no_answer_is_held(contenders: Contenders, monkeypatch: pytest.MonkeyPatch) -> None:
    contenders.enter(GOOD)
    monkeypatch.setattr(gather, "query", lambda *_: None)
    decision = promote()
    assert decision.outcome == "HOLD"
    assert f"gave no answer when it was loaded and asked: see {home() / 'query.log'}" in str(decision)


@pytest.fixture
def two_vals(contenders: Contenders) -> tuple[Contenders, int]:
    """A champion of the first val split, and a better candidate of a larger one; the candidate's version."""
    contenders.enter(GOOD)
    promote()
    val_tree(contenders.tree, drives=20)
    return contenders, contenders.enter(BETTER)


def test_the_champion_is_scored_again_once_and_its_old_evidence_stays(
    two_vals: tuple[Contenders, int], asked: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    contenders, version = two_vals
    client, published = contenders.client, contenders.entered[1]
    before = client.get_run(published.run_id).data.metrics
    asked.clear()
    policy(contenders.tree, gain=0.9)
    decision = promote()
    assert decision.outcome == "HOLD"
    assert (decision.images, len(decision.drives)) == (40, 20)
    assert asked == ["score", "query"]
    assert promote().outcome == "HOLD"
    assert asked == ["score", "query", "query"]
    key = decision.champion and decision.champion.key
    assert artifact_names(client, published.run_id, "evaluation") == {published.evaluation, key}
    assert client.get_run(published.run_id).data.metrics == before

    (tmp_path / "second").mkdir()
    shutil.copytree(home() / "mlflow", tmp_path / "second/mlflow")
    monkeypatch.setenv("ROADSEG_HOME", str(tmp_path / "second"))  # another machine with the same MLflow
    policy(contenders.tree, gain=0.003)
    assert promote(version).outcome == "PROMOTE"
    assert asked[3:] == ["query"]


@pytest.mark.parametrize(
    ("before", "after", "scored"),
    [
        ({}, {}, 0),
        ({}, {"flip": True}, 1),
        ({"scoring": "older"}, {"scoring": "older"}, 0),
        ({"scoring": "older"}, {}, 1),
        ({}, {"scoring": "older"}, 2),  # by one code: today's
    ],
)
def test_what_was_evaluated_otherwise_is_scored_again(
    contenders: Contenders, asked: list[str], before: dict[str, Any], after: dict[str, Any], scored: int
) -> None:
    contenders.enter(GOOD, **before)
    promote()
    asked.clear()
    contenders.enter(BETTER, **after)
    assert promote().outcome == "PROMOTE"
    assert asked == [*["score"] * scored, "query"]


def test_without_the_images_the_gate_holds_and_says_how_to_get_them(
    two_vals: tuple[Contenders, int], asked: list[str]
) -> None:
    asked.clear()
    shutil.rmtree("data/raw")
    decision = promote()
    assert asked == []
    assert decision.outcome == "HOLD"
    assert "data/raw/0.png and 79 more files of val are missing" in str(decision)
    assert "dvc pull data/raw.dvc" in str(decision)


def test_another_val_split_than_the_candidate_s_holds(contenders: Contenders) -> None:
    contenders.enter(GOOD)
    val_tree(contenders.tree, drives=20)
    decision = promote()
    assert decision.outcome == "HOLD"
    assert "check out its commit cccccccccccc" in str(decision)


def test_what_a_person_must_approve_is_held_with_the_command(contenders: Contenders) -> None:
    policy(contenders.tree, approval=True)
    contenders.enter(GOOD)
    held = promote()
    assert held.outcome == "HOLD"
    assert "`roadseg promote 1`" in str(held)
    shown: list[Decision] = []
    assert promote(approve=lambda decision: bool(shown.append(decision))).outcome == "HOLD"
    assert "first model" in str(shown[0])
    done = CliRunner().invoke(app, ["promote", "1", "--yes"])
    assert done.exit_code == 0, done.output
    assert version_at(contenders.client, CHAMPION) == 1
    assert ledger.ledger_entries(contenders.client)[0].tags["approver"]


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
    assert CliRunner().invoke(app, ["models", "history"]).exit_code == 0
    policy(contenders.tree, gain=0.001)  # something has changed
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


@pytest.mark.parametrize("version", [0, 7])
def test_a_missing_version_is_named_and_nothing_written(contenders: Contenders, version: int) -> None:
    contenders.enter(GOOD)
    with pytest.raises(UsageError, match=f"no version {version}"):
        promote(version)
    assert told(contenders.client) == []


def test_with_nothing_registered_the_remedy_is_said(contenders: Contenders) -> None:
    with pytest.raises(UsageError, match="roadseg register"):
        promote()


def test_the_list_marks_scores_over_other_data_or_settings(two_vals: tuple[Contenders, int]) -> None:
    contenders, _ = two_vals
    val_tree(contenders.tree)
    contenders.enter(BETTER, flip=True)
    contenders.enter(WORSE)
    marks = [row["scored on"].partition(" (")[2] for row in version_rows()]
    assert marks == ["", "other settings)", "other data)", ""]
