import time
from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.evaluation import read_evaluation
from roadseg.contracts.files import digest_file, home
from roadseg.registry import champion
from roadseg.registry.champion import ask_for_champion, fetch_champion
from roadseg.registry.versions import CHAMPION, MODEL


@pytest.fixture
def promoted(client: MlflowClient, enter: Callable[..., int]) -> int:
    version = enter()
    client.set_registered_model_alias(MODEL, CHAMPION, str(version))
    return version


def test_the_champion_is_fetched_once_and_is_what_was_published(promoted: int, sent: Any) -> None:
    found = fetch_champion()
    assert found is not None
    assert found.name == f"champion (version {promoted})"
    assert found.val_manifest == sent.published.val_manifest
    for name in ("confusion.npy", "images.parquet"):
        assert digest_file(found.evaluation / name) == digest_file(sent.tree / "reports/evaluation" / name)
    assert len(read_evaluation(found.evaluation).counts)
    assert Bundle.open(found.bundle).card == Bundle.open(sent.tree / "models/bundle").card
    before = found.evaluation.stat().st_ino
    again = fetch_champion()
    assert again == found
    assert found.evaluation.stat().st_ino == before
    assert [*(home() / "reuse/evaluations").iterdir()] == [found.evaluation]
    assert [*(home() / "reuse/models").iterdir()] == [found.bundle]


def test_without_a_champion_there_is_none(client: object) -> None:
    assert fetch_champion() is None


def test_another_process_finds_the_same_champion(promoted: int) -> None:
    assert ask_for_champion() == fetch_champion()


def test_a_store_that_does_not_answer_gives_none_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    start = time.monotonic()
    assert ask_for_champion() is None
    assert time.monotonic() - start < champion.PATIENCE + 5
    assert not (home() / "reuse").exists()
