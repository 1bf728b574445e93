"""What the version before left stays readable: tests/data/schema-1 was written by it."""

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from roadseg.contracts.bundle import Bundle, Surroundings
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.evaluation import read_evaluation, read_scores
from roadseg.contracts.manifest import read_manifest
from roadseg.predict.predictor import Predictor
from roadseg.registry.champion import fetch_champion
from roadseg.registry.promote import promote
from roadseg.registry.versions import CHAMPION, MODEL, fetch_bundle, register
from roadseg.serving.log import log_model
from roadseg.tracking.published import Published, evaluation_key
from roadseg.tracking.store import create_run

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
def champion(client: MlflowClient) -> Published:
    """Published, registered and promoted as the version before did it."""
    miou = read_scores(BEFORE / "evaluation")["miou"]
    run_id = create_run(client, TAGS["fingerprint"]).info.run_id
    with mlflow.start_run(run_id=run_id), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="mlflow")
        model_id = log_model(BEFORE / "bundle", "model")
    client.log_artifacts(run_id, str(BEFORE / "bundle"), "bundle")
    client.log_artifacts(run_id, str(BEFORE / "evaluation"), f"evaluation/{TAGS['evaluation']}")
    client.log_metric(run_id, evaluation_key(TAGS["evaluation"], "miou"), miou)
    mlflow.register_model(f"models:/{model_id}", MODEL, tags=TAGS | {"run_id": run_id})
    client.set_registered_model_alias(MODEL, CHAMPION, "1")
    of_version = {name: TAGS[name] for name in ("fingerprint", "evaluation", "val_manifest", "weights")}
    return Published(run_id, model_id, **of_version, commit="", dirty=False, miou=miou)


def test_a_champion_of_before_loads_and_holds_the_gate_until_it_is_scored_again(
    client: MlflowClient, champion: Published, enter: Callable[..., int], sent: Any
) -> None:
    assert predicts_what_it_learnt(Bundle.open(fetch_bundle("models:/roadseg@champion")))
    found = fetch_champion()
    assert found is not None
    assert len(read_evaluation(found.evaluation).counts) == 6
    assert found.val_manifest is None

    enter(miou=0.99)
    decision = promote()
    assert (decision.outcome, decision.exit_code) == ("HOLD", 4)
    assert "the score of champion 1 stands under an older digest of the val manifest" in str(decision)
    assert "evaluate, publish and register that model again" in str(decision)

    again = replace(champion, evaluation="a" * 64, val_manifest=sent.published.val_manifest)
    client.log_metric(again.run_id, evaluation_key(again.evaluation, "miou"), 0.5)
    assert register(again) == 3
    assert promote(3).outcome == "REJECT"
    decision = promote(2)
    assert decision.outcome == "PROMOTE"
    assert "mIoU 0.9900 against 0.5000 of champion 1" in str(decision)
