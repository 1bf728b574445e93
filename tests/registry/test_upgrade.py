"""What the version before left stays readable: tests/data/schema-1 was written by it."""

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
from contenders import Contenders, score_here, val_tree
from mlflow import MlflowClient

from roadseg.contracts.bundle import Bundle, Surroundings
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.evaluation import read_evaluation, read_scores
from roadseg.contracts.manifest import read_manifest
from roadseg.predict.predictor import Predictor
from roadseg.registry.champion import fetch_champion
from roadseg.registry.evidence import gather, rescore
from roadseg.registry.evidence.query import load_and_ask
from roadseg.registry.promote import promote
from roadseg.registry.versions import CHAMPION, MODEL, fetch_bundle

BEFORE = Path(__file__).parent.parent / "data/schema-1"
TAGS = json.loads((BEFORE / "tags.json").read_text())


def predicts_what_it_learnt(bundle: Bundle) -> bool:
    """It knows each class by its colour."""
    mask = np.arange(32 * 64).reshape(32, 64) % 7
    [found] = Predictor(bundle, batch=1)([bundle.classes.palette[mask]])
    return np.array_equal(found, mask)


def test_a_bundle_of_before_opens_and_predicts(idd_level1: ClassTable) -> None:
    bundle = Bundle.open(BEFORE / "bundle")
    assert bundle.card["schema"] == "roadseg/bundle/1"
    assert bundle.classes == idd_level1
    assert (bundle.surroundings, bundle.history) == (Surroundings(), None)
    assert predicts_what_it_learnt(bundle)


def test_an_evaluation_of_before_is_read() -> None:
    found, scores = read_evaluation(BEFORE / "evaluation"), read_scores(BEFORE / "evaluation")
    assert (len(found.counts), scores["images"]) == (6, 6)
    assert (found.weights, found.val_manifest) == (None, None)
    confusion = found.counts.total().confusion
    assert confusion.trace() / confusion.sum() == pytest.approx(scores["pixel_accuracy"])


def test_the_digest_of_a_val_manifest_is_another_than_before() -> None:
    assert read_manifest(BEFORE / "manifest.parquet").digest("val") != TAGS["val_manifest"]


@pytest.fixture
def contenders(client: MlflowClient, tmp_path: Path) -> Contenders:
    return Contenders(client, val_tree(tmp_path / "tree"), tmp_path)


@pytest.fixture
def champion(contenders: Contenders) -> None:
    """Published, registered and promoted as the version before did it."""
    published = contenders.publish(BEFORE / "bundle", BEFORE / "evaluation", TAGS["evaluation"])
    mlflow.register_model(f"models:/{published.model_id}", MODEL, tags=TAGS | {"run_id": published.run_id})
    contenders.client.set_registered_model_alias(MODEL, CHAMPION, "1")


def test_a_champion_of_before_loads_and_is_scored_again_for_the_gate(
    client: MlflowClient, champion: None, contenders: Contenders, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert predicts_what_it_learnt(Bundle.open(fetch_bundle("models:/roadseg@champion")))
    found = fetch_champion()
    assert found is not None
    assert len(read_evaluation(found.evaluation).counts) == 6
    assert found.val_manifest is None

    monkeypatch.chdir(contenders.tree)
    monkeypatch.setattr(gather, "query", load_and_ask)
    monkeypatch.setattr(rescore, "ask", score_here)
    contenders.enter(0.4)
    decision = promote()
    assert decision.outcome == "REJECT"
    assert "of champion 1" in str(decision)
    assert decision.champion
    assert decision.champion.weights == TAGS["weights"]
    assert len(decision.drives) == 16
