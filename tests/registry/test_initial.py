import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient
from trees import ROOT
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts.errors import UsageError
from roadseg.contracts.weights import NAME, find_weights
from roadseg.registry.initial import bring_weights
from roadseg.registry.versions import CHAMPION, MODEL

Enter = Callable[..., int]


def test_the_champion_a_version_and_a_folder_name_the_same_weights(
    client: MlflowClient, enter: Enter, sent: Any
) -> None:
    enter()
    client.set_registered_model_alias(MODEL, CHAMPION, "1")
    names = (CHAMPION, "candidate", "1", "models:/roadseg/1", str(sent.tree / "models/bundle"))
    [digest] = {bring_weights(name) for name in names}
    card = json.loads((sent.tree / "models/bundle/card.json").read_text())
    assert digest == card["training_weights"]
    assert find_weights(digest).fingerprint == card["fingerprint"]


def test_the_verb_sets_the_parameter_and_prints_it(sent: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    before = (tmp_path / "params.yaml").read_text()
    bundle = str(sent.tree / "models/bundle")
    dry = CliRunner().invoke(app, ["models", "init", bundle, "--dry-run"])
    assert (tmp_path / "params.yaml").read_text() == before
    done = CliRunner().invoke(app, ["models", "init", bundle])
    assert done.output == dry.output
    digest = done.output.removeprefix("train.init: ").strip()
    assert yaml.safe_load((tmp_path / "params.yaml").read_text())["train"]["init"] == digest
    assert find_weights(digest)


@pytest.fixture
def bundle(sent: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sent.tree / "models/bundle", tmp_path / "bundle"))


def test_a_bundle_without_training_weights_is_named(bundle: Path) -> None:
    (bundle / NAME).unlink()
    with pytest.raises(UsageError, match=r"weights\.npz is missing: that model was trained before"):
        bring_weights(str(bundle))


def test_a_word_that_names_no_model_is_said_back() -> None:
    with pytest.raises(UsageError, match="nobody is no champion, candidate or version, and no folder"):
        bring_weights("nobody")


def test_weights_that_the_card_does_not_name_are_refused(bundle: Path) -> None:
    card = json.loads((bundle / "card.json").read_text())
    (bundle / "card.json").write_text(json.dumps(card | {"training_weights": "0" * 64}))
    with pytest.raises(UsageError, match="is not the file that card"):
        bring_weights(str(bundle))


def test_without_a_champion_the_remedy_is_said(client: MlflowClient, enter: Enter) -> None:
    enter()
    with pytest.raises(UsageError, match="promote a model"):
        bring_weights(CHAMPION)
