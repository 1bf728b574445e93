"""Versions of the registered model: register once, find by tags, fetch the bundle behind a name."""

from dataclasses import replace
from pathlib import Path

import mlflow
from mlflow import MlflowClient, MlflowException
from mlflow.entities.model_registry import ModelVersion

from roadseg.contracts.errors import UsageError
from roadseg.contracts.manifest import DIGEST
from roadseg.registry.former_gate import Evidence
from roadseg.tracking.published import Published, evaluation_key
from roadseg.tracking.store import connect

MODEL, CANDIDATE, CHAMPION = "roadseg", "candidate", "champion"
EVALUATED = {"run_id", "evaluation", "val_manifest"}  # tags of a version that `register` made
KIND = "val_manifest.kind"  # tag: which digest of the val manifest it is; the first versions have none
ABSENT = "RESOURCE_DOES_NOT_EXIST"  # MLflow's code for what is not there, unlike a store that does not answer


def register(published: Published) -> int:
    """Register a published training with its evaluation; the same two are the same version.

    Returns:
        The version's number; alias `candidate` points to it if it is new.

    Raises:
        UsageError: the model that MLflow holds has other weights; names both digests.
    """
    client = connect()
    _check_weights(client, published)
    identity = {"fingerprint": published.fingerprint, "evaluation": published.evaluation}
    number = next((int(found.version) for found in _versions(client) if identity.items() <= found.tags.items()), None)
    if number is None:
        tags = identity | {
            "run_id": published.run_id,
            "val_manifest": published.val_manifest,
            KIND: str(DIGEST),
            "weights": published.weights,
            "git.commit": published.commit,
            "git.dirty": str(published.dirty).lower(),
        }
        number = int(mlflow.register_model(f"models:/{published.model_id}", MODEL, tags=tags).version)
    if number > (version_at(client, CANDIDATE) or 0):  # also where a call before this one died on the way
        client.set_registered_model_alias(MODEL, CANDIDATE, str(number))
    return number


def _check_weights(client: MlflowClient, published: Published) -> None:
    """Compare what is about to be registered with what was trained and evaluated here."""
    location = client.get_logged_model(published.model_id).artifact_location
    card = mlflow.artifacts.load_dict(f"{location}/artifacts/bundle/card.json")
    if card["weights"] != published.weights:
        raise UsageError(
            f"MLflow's model {published.model_id} has the weights {card['weights'][:12]}, and models/bundle has "
            f"{published.weights[:12]}: delete that model in MLflow, then run `roadseg publish` again"
        )


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
    miou = metrics.get(evaluation_key(tags["evaluation"], "miou"))
    return Evidence(version, miou, tags["val_manifest"], older=has_older_digest(tags))


def has_older_digest(tags: dict[str, str]) -> bool:
    """Whether a version's digest of the val manifest was made in another way than today."""
    return tags.get(KIND) != str(DIGEST)


def comparable_evidence(client: MlflowClient, version: int) -> Evidence:
    """As `evidence`; where that is under an older digest, that of the same weights if they were registered anew.

    Raises:
        UsageError: there is no such version.
    """
    known = evidence(client, version)
    if not known.older:
        return known
    weights = client.get_model_version(MODEL, str(version)).tags.get("weights")
    again = (int(found.version) for found in _versions(client) if _is_again(found, weights))
    scored = (evidence(client, number) for number in sorted(again, reverse=True))
    return next((replace(found, version=version) for found in scored if found.miou is not None), known)


def _is_again(found: ModelVersion, weights: str | None) -> bool:
    return weights is not None and found.tags.get("weights") == weights and not has_older_digest(found.tags)


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
