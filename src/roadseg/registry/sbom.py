"""A registered version's bill of materials in CycloneDX: what it was made of, by digests."""

from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import yaml
from mlflow import MlflowClient

from roadseg.contracts import paths
from roadseg.contracts.files import digest_file
from roadseg.registry.card import ancestors
from roadseg.registry.rebuild.recorded import Recorded, fetch_recorded, find_version
from roadseg.registry.versions import MODEL
from roadseg.tracking.store import connect

SPECIFICATION = "1.6"  # of CycloneDX


def bill_of_materials(model: str) -> dict[str, Any]:
    """The bill of a version; equal calls give equal bills.

    Args:
        model: see `find_version`.

    Raises:
        UsageError: there is no such version, or something else than `roadseg register` made it.
    """
    client = connect()
    number = find_version(client, model)
    with TemporaryDirectory() as folder:
        recorded = fetch_recorded(client, number, Path(folder, "recorded"))
        return _bill(client, recorded)


def _bill(client: MlflowClient, recorded: Recorded) -> dict[str, Any]:
    card, name = recorded.bundle.card, f"{MODEL}@{recorded.version}"
    entered = client.get_model_version(MODEL, str(recorded.version)).creation_timestamp
    parts = [*_data(card, recorded.origin.folder), *_libraries(card)]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, card['weights'] + name)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp((entered or 0) / 1000, UTC).isoformat(),
            "component": _model(client, recorded, name),
        },
        "components": parts,
        "dependencies": [{"ref": name, "dependsOn": sorted(part["bom-ref"] for part in parts)}],
    }


def _model(client: MlflowClient, recorded: Recorded, name: str) -> dict[str, Any]:
    card = recorded.bundle.card
    facts = {name: card.get(name) for name in ("fingerprint", "weights", "training_weights", "code", "data", "history")}
    facts |= {"git.commit": recorded.origin.commit, "git.changes": recorded.origin.kept, "model": card.get("model")}
    parents = [
        {"type": "machine-learning-model", "name": said.partition(":")[0].strip("` "), "description": said}
        for said in ancestors(client, recorded.run_id)
    ]
    return {
        "type": "machine-learning-model",
        "bom-ref": name,
        "name": MODEL,
        "version": str(recorded.version),
        "hashes": [_sha256(digest_file(path)) for path in sorted(recorded.bundle.folder.glob("*.keras"))],
        "properties": [
            {"name": f"roadseg:{key}", "value": str(value)} for key, value in sorted(facts.items()) if value
        ],
        **({"pedigree": {"ancestors": parents}} if parents else {}),
    }


def _data(card: dict[str, Any], origin: Path) -> list[dict[str, Any]]:
    """The shards that it was trained on, and the files that decide the data and what becomes of them."""
    listed = [{"type": "data", "bom-ref": "shards", "name": "shards", "hashes": [_sha256(str(card["data"]))]}]
    listed += [
        {
            "type": "data",
            "bom-ref": path.relative_to(origin).as_posix(),
            "name": path.relative_to(origin).as_posix(),
            "hashes": [_sha256(digest_file(path))],
        }
        for path in sorted(origin.rglob("*"))
        if path.is_file() and path.name != "origin.json"
    ]
    pointer = origin / paths.RAW_DVC
    if pointer.exists():
        md5 = str(yaml.safe_load(pointer.read_text(encoding="utf-8"))["outs"][0]["md5"]).removesuffix(".dir")
        raw = {"type": "data", "bom-ref": str(paths.RAW), "name": str(paths.RAW), "description": "DVC's list of files"}
        listed.append(raw | {"hashes": [{"alg": "MD5", "content": md5}]})
    return listed


def _libraries(card: dict[str, Any]) -> list[dict[str, Any]]:
    """What computed the weights, and what made the bill."""
    found = {"keras": card.get("keras"), card.get("backend", "tensorflow"): card.get("backend_version")}
    return [
        {
            "type": "library",
            "bom-ref": f"{name}@{number}",
            "name": name,
            "version": number,
            "purl": f"pkg:pypi/{name}@{number}",
        }
        for name, number in sorted({**found, "roadseg": installed("roadseg")}.items())
        if number
    ]


def _sha256(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}
