"""Versions of the registered model: register once, find by tags, fetch the bundle behind a name."""

from pathlib import Path

import mlflow
from mlflow import MlflowClient, MlflowException
from mlflow.entities.model_registry import ModelVersion

from roadseg.contracts.errors import UsageError
from roadseg.registry.gate import Evidence
from roadseg.tracking.published import Published, evaluation_key
from roadseg.tracking.store import connect

MODEL, CANDIDATE, CHAMPION = "roadseg", "candidate", "champion"
EVALUATED = {"run_id", "evaluation", "val_manifest"}  # tags of a version that `register` made
ABSENT = "RESOURCE_DOES_NOT_EXIST"  # MLflow's code for what is not there, unlike a store that does not answer


def register(published: Published) -> int:
    """Register a published training with its evaluation; the same two are the same version.

    Returns:
        The version's number; alias `candidate` points to it if it is new.
    """
    client = connect()
    identity = {"fingerprint": published.fingerprint, "evaluation": published.evaluation}
    number = next((int(found.version) for found in _versions(client) if identity.items() <= found.tags.items()), None)
    if number is None:
        tags = identity | {
            "run_id": published.run_id,
            "val_manifest": published.val_manifest,
            "weights": published.weights,
            "git.commit": published.commit,
            "git.dirty": str(published.dirty).lower(),
        }
        number = int(mlflow.register_model(f"models:/{published.model_id}", MODEL, tags=tags).version)
    if number > (version_at(client, CANDIDATE) or 0):  # also where a call before this one died on the way
        client.set_registered_model_alias(MODEL, CANDIDATE, str(number))
    return number


def version_at(client: MlflowClient, alias: str) -> int | None:
    """Number of the version that an alias points to, or None where there is none.

    Raises:
        MlflowException: the store does not answer; that must not look like a missing champion.
    """
    try:
        aliases = client.get_registered_model(MODEL).aliases
    except MlflowException as error:
        if error.error_code != ABSENT:
            raise
        return None
    return int(aliases[alias]) if alias in aliases else None


def evidence(client: MlflowClient, version: int) -> Evidence:
    """What the gate must know of a version, from the evaluation it was registered with.

    A version that something else than `register` made has no score.

    Raises:
        UsageError: there is no such version.
    """
    try:
        tags = client.get_model_version(MODEL, str(version)).tags
    except MlflowException as error:
        if error.error_code != ABSENT:
            raise
        raise UsageError(f"{MODEL} has no version {version}: `roadseg models list` shows those there are") from None
    if not tags.keys() >= EVALUATED:
        return Evidence(version, None, "")
    metrics = client.get_run(tags["run_id"]).data.metrics
    return Evidence(version, metrics.get(evaluation_key(tags["evaluation"], "miou")), tags["val_manifest"])


def fetch_bundle(model: str) -> Path:
    """Folder of a bundle, from a folder or a `models:/` URI.

    Raises:
        UsageError: neither is there.
    """
    if not model.startswith("models:/"):
        return Path(model)
    connect()
    try:
        return Path(mlflow.artifacts.download_artifacts(f"{model}/artifacts/bundle"))
    except (MlflowException, OSError) as error:
        raise UsageError(f"{model} cannot be fetched ({error}): promote a model, or give --model a folder") from None


def version_rows() -> list[dict[str, str]]:
    """Every version, newest first: number, aliases, mIoU, when, and the start of its fingerprint."""
    client = connect()
    try:
        aliases = client.get_registered_model(MODEL).aliases
    except MlflowException as error:
        if error.error_code != ABSENT:
            raise
        return []
    rows = []
    for found in sorted(_versions(client), key=lambda version: -int(version.version)):
        known = evidence(client, int(found.version))
        rows.append(
            {
                "version": str(found.version),
                "aliases": ", ".join(name for name, number in aliases.items() if int(number) == int(found.version)),
                "miou": "?" if known.miou is None else f"{known.miou:.4f}",
                "fingerprint": found.tags.get("fingerprint", "?")[:8],
            }
        )
    return rows


def _versions(client: MlflowClient) -> list[ModelVersion]:
    return list(client.search_model_versions(f"name = '{MODEL}'", max_results=1000))
