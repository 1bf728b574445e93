from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient, MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import UsageError
from roadseg.gate.settings import COMPARED, compared_settings
from roadseg.registry.evidence.stored import Stored
from roadseg.registry.versions import (
    CANDIDATE,
    CHAMPION,
    MODEL,
    candidate_of,
    fetch_bundle,
    is_left_to_gate,
    register,
    registered_miou,
    version_at,
    version_rows,
)

Enter = Callable[..., int]


def test_the_same_training_and_evaluation_is_the_same_version(client: MlflowClient, enter: Enter, sent: Any) -> None:
    assert enter() == enter() == 1
    tags = client.get_model_version(MODEL, "1").tags
    expected = sent.published
    assert tags == {
        "fingerprint": expected.fingerprint,
        "evaluation": expected.evaluation,
        "val_manifest": expected.val_manifest,
        "val_manifest.kind": "2",
        "weights": expected.weights,
        "run_id": expected.run_id,
        "git.commit": expected.commit,
        "git.dirty": "false",
        "evaluation.settings": expected.settings,
    }
    assert registered_miou(client, client.get_model_version(MODEL, "1")) == expected.miou


def test_a_model_of_other_weights_is_not_registered(client: MlflowClient, sent: Any) -> None:
    other = replace(sent.published, weights="d" * 64)
    with pytest.raises(UsageError, match=f"has the weights {sent.published.weights[:12]}.*has {'d' * 12}"):
        register(other)
    assert not client.search_registered_models()


def test_another_evaluation_is_another_version_and_leaves_the_old_evidence(
    client: MlflowClient, enter: Enter, sent: Any
) -> None:
    enter()
    before = client.get_model_version(MODEL, "1")
    assert enter(miou=0.99) == 2
    assert client.get_model_version(MODEL, "1").tags == before.tags
    assert registered_miou(client, before) == sent.published.miou
    assert registered_miou(client, client.get_model_version(MODEL, "2")) == 0.99


def test_the_newest_version_is_the_candidate(client: MlflowClient, enter: Enter) -> None:
    assert version_at(client, CANDIDATE) is None
    for number in (1, 2):
        assert enter(miou=0.5) == version_at(client, CANDIDATE) == number


def test_a_champion_that_is_registered_again_is_no_candidate(client: MlflowClient, enter: Enter) -> None:
    enter()
    client.set_registered_model_alias(MODEL, CHAMPION, "1")
    client.delete_registered_model_alias(MODEL, CANDIDATE)
    assert enter() == 1
    assert version_at(client, CANDIDATE) is None


def test_registering_again_makes_up_for_a_lost_alias_but_brings_no_old_version_back(
    client: MlflowClient, enter: Enter
) -> None:
    enter()
    client.delete_registered_model_alias(MODEL, CANDIDATE)
    assert enter() == version_at(client, CANDIDATE) == 1
    enter(miou=0.5)
    assert enter() == 1
    assert version_at(client, CANDIDATE) == 2


def test_what_a_trainer_may_not_nominate_is_left_to_the_gate_which_takes_the_newest_once(
    client: MlflowClient, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise MlflowException("Permission denied", PERMISSION_DENIED)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", refuse)
        assert [enter(), enter(0.5), enter(0.6)] == [1, 2, 3]
    assert version_at(client, CANDIDATE) is None
    assert is_left_to_gate(3)
    assert candidate_of(client, move=False) == 3
    assert version_at(client, CANDIDATE) is None
    assert candidate_of(client) == version_at(client, CANDIDATE) == 3
    assert not any(is_left_to_gate(number) for number in (1, 2, 3))
    client.set_registered_model_alias(MODEL, CHAMPION, "1")  # a rollback
    client.delete_registered_model_alias(MODEL, CANDIDATE)
    assert candidate_of(client) is None


def test_a_store_that_fails_otherwise_is_not_taken_for_the_rule(
    client: MlflowClient, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MlflowException("the disk is full")

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", fail)
    with pytest.raises(MlflowException, match="the disk is full"):
        enter()


def test_a_silent_store_is_no_missing_champion(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object, **__: object) -> None:
        raise MlflowException("500 after 3 retries")

    monkeypatch.setattr(MlflowClient, "get_registered_model", silent)
    with pytest.raises(MlflowException, match="500"):
        version_at(client, CHAMPION)
    with pytest.raises(MlflowException, match="500"):
        version_rows()


def test_a_version_made_by_hand_has_no_score(client: MlflowClient, enter: Enter, sent: Any) -> None:
    enter()
    client.create_model_version(MODEL, f"models:/{sent.published.model_id}")
    assert registered_miou(client, client.get_model_version(MODEL, "2")) is None
    assert [row["miou"] for row in version_rows()] == ["?", f"{sent.published.miou:.4f}"]


def test_the_summary_has_every_version_newest_first(client: MlflowClient, enter: Enter, sent: Any) -> None:
    assert version_rows() == []
    enter()
    enter(miou=0.25)
    client.set_registered_model_alias(MODEL, CHAMPION, "1")
    assert [(row["version"], row["aliases"], row["miou"]) for row in version_rows()] == [
        ("2", "candidate", "0.2500"),
        ("1", "champion", f"{sent.published.miou:.4f}"),
    ]


def test_the_champion_s_bundle_comes_by_name(client: MlflowClient, enter: Enter, sent: Any) -> None:
    enter()
    client.set_registered_model_alias(MODEL, CHAMPION, "1")
    bundle = Bundle.open(fetch_bundle("models:/roadseg@champion"))
    assert bundle.card["weights"] == sent.published.weights
    trained = sent.tree / "models/bundle/model.keras"
    assert (bundle.folder / "model.keras").read_bytes() == trained.read_bytes()


def test_without_a_champion_the_remedy_is_said(client: MlflowClient, enter: Enter) -> None:
    enter()
    with pytest.raises(UsageError, match="promote a model, or give --model a folder"):
        fetch_bundle("models:/roadseg@champion")


def test_the_gate_reads_what_publish_has_sent(client: MlflowClient, enter: Enter, sent: Any) -> None:
    enter()
    stored = Stored.find(client, 1)
    assert stored.bundle.card == Bundle.open(sent.tree / "models/bundle").card
    assert (
        stored.evaluation.counts.confusion.tolist() == np.load(sent.tree / "reports/evaluation/confusion.npy").tolist()
    )
    assert stored.evaluation.scoring
    assert compared_settings(stored.evaluation).keys() == set(COMPARED)


def test_a_folder_stays_a_folder(tmp_path: Path) -> None:
    assert fetch_bundle(str(tmp_path)) == tmp_path
