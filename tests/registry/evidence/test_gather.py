import shutil
from pathlib import Path
from typing import Any

import pytest
from contenders import BETTER, GOOD, WORSE, Contenders, change_policy, val_tree

from roadseg.contracts.files import home
from roadseg.contracts.manifest import from_rows, read_manifest, write_manifest
from roadseg.registry.evidence import gather
from roadseg.registry.promote import promote
from roadseg.registry.versions import version_rows
from roadseg.tracking.store import artifact_names

pytestmark = pytest.mark.usefixtures("asked")


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


@pytest.mark.parametrize(("trained", "left"), [("idd", ["00"]), ("another", []), (None, ["00"])])
def test_a_drive_of_that_name_is_left_out_unless_it_is_of_another_data_set(
    contenders: Contenders, trained: str | None, left: list[str]
) -> None:
    path = contenders.tree / "data/manifest.parquet"
    manifest = read_manifest(path)
    named = from_rows([row | {"dataset": "idd"} for row in manifest.records()], manifest.layout, manifest.classes)
    write_manifest(path, "manifest", named)
    seen = {"sample": "train/00/9", "dataset": trained, "drive": "00", "image_sha": "9" * 64, "phash": 2**63 - 1}
    contenders.enter(GOOD, seen=[seen])
    assert [each.drive for each in promote().left_out] == left


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
    change_policy(contenders.tree, gain=0.9)
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
    change_policy(contenders.tree, gain=0.003)
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


def test_the_list_marks_scores_over_other_data_or_settings(two_vals: tuple[Contenders, int]) -> None:
    contenders, _ = two_vals
    val_tree(contenders.tree)
    contenders.enter(BETTER, flip=True)
    contenders.enter(WORSE)
    marks = [row["scored on"].partition(" (")[2] for row in version_rows()]
    assert marks == ["", "other settings)", "other data)", ""]
