"""A version's bill of materials is CycloneDX, and says what the version is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from mlflow import MlflowClient

from roadseg.contracts.files import digest_file
from roadseg.registry.sbom import bill_of_materials


def test_the_bill_is_valid_and_has_the_digests_of_weights_and_data(
    client: MlflowClient, enter: Callable[..., int], sent: Any
) -> None:
    number, bundle = enter(), sent.tree / "models/bundle"
    bill = bill_of_materials(str(number))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None
    card, model = json.loads((bundle / "card.json").read_text()), bill["metadata"]["component"]
    assert (model["type"], model["version"]) == ("machine-learning-model", str(number))
    assert [each["content"] for each in model["hashes"]] == [digest_file(bundle / "model.keras")]
    facts = {each["name"]: each["value"] for each in model["properties"]}
    assert facts["roadseg:weights"] == card["weights"]
    data = {each["name"]: each["hashes"][0]["content"] for each in bill["components"] if each["type"] == "data"}
    raw = yaml.safe_load((sent.tree / "data/raw.dvc").read_text())["outs"][0]["md5"]
    assert data["shards"] == card["data"]
    assert data["data/raw"] == raw.removesuffix(".dir")
    assert data["params.yaml"] == digest_file(sent.tree / "params.yaml")
    assert "pedigree" not in model
    assert bill_of_materials("candidate") == bill


def test_a_model_that_started_from_another_names_it(
    client: MlflowClient, enter: Callable[..., int], sent: Any, tmp_path: Path
) -> None:
    number = enter()
    client.set_tag(sent.published.run_id, "roadseg.parent", "f" * 64)
    model = bill_of_materials(str(number))["metadata"]["component"]
    (parent,) = model["pedigree"]["ancestors"]
    assert "f" * 12 in parent["name"]
    assert "gone from MLflow" in parent["description"]
