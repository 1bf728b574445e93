"""Versions of the registered model: register once, find by tags, fetch the bundle behind a name."""

import json
from pathlib import Path

import mlflow
from mlflow import MlflowClient, MlflowException
from mlflow.entities.model_registry import ModelVersion

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import UsageError
from roadseg.contracts.manifest import DIGEST
from roadseg.gate.settings import COMPARED
from roadseg.registry.promised import promised_weights, refuse_replaced
from roadseg.tracking.published import Published, evaluation_key
from roadseg.tracking.store import connect, every

MODEL, CANDIDATE, CHAMPION = "roadseg", "candidate", "champion"
EVALUATED = {"run_id", "evaluation", "val_manifest"}  # tags of a version that `register` made
KIND = "val_manifest.kind"  # tag: which digest of the val manifest it is; the first versions have none
LEFT = "candidate.left"  # tag of a version whose alias its trainer may not set; the gate takes it off
SETTINGS = "evaluation.settings"  # tag: JSON, for people and lists; the gate reads the evaluation itself
ABSENT = "RESOURCE_DOES_NOT_EXIST"  # MLflow's code for what is not there, unlike a store that does not answer
DENIED = "PERMISSION_DENIED"


def register(published: Published) -> int:
    """Register a published training with its evaluation; the same two are the same version.

    Returns:
        The version's number; alias `candidate` points to it if it is new, unless the server leaves that to the gate.

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
        tags |= {SETTINGS: published.settings} if published.settings else {}
        number = int(mlflow.register_model(f"models:/{published.model_id}", MODEL, tags=tags).version)
    newest = max(version_at(client, alias) or 0 for alias in (CANDIDATE, CHAMPION))
    if number > newest:  # also where a call before this one died on the way
        _nominate(client, number)
    return number


def _nominate(client: MlflowClient, number: int) -> None:
    """Point `candidate` to a version, or leave that to the gate where this user may not, see `registry.guard`."""
    try:
        client.set_registered_model_alias(MODEL, CANDIDATE, str(number))
    except MlflowException as error:
        if error.error_code != DENIED:
            raise
        client.set_model_version_tag(MODEL, str(number), LEFT, "true")


def is_left_to_gate(number: int) -> bool:
    """Whether the gate has still to make a version the candidate, since its trainer may not."""
    return LEFT in connect().get_model_version(MODEL, str(number)).tags


def candidate_of(client: MlflowClient, *, move: bool = True) -> int | None:
    """The version that the gate has to judge, or None; the newest that a trainer left to it becomes candidate first.

    Args:
        client: of a user who may move aliases, if anything was left.
        move: set the alias; else only say which it would be.
    """
    candidate = version_at(client, CANDIDATE)
    if not (left := [found for found in _versions(client) if LEFT in found.tags]):
        return candidate
    newest = max(int(found.version) for found in left)
    older = newest <= max(candidate or 0, version_at(client, CHAMPION) or 0)
    if not move:
        return candidate if older else newest
    if not older:
        client.set_registered_model_alias(MODEL, CANDIDATE, str(newest))
    for found in left:  # a tag that stayed would bring the version back after a rollback
        client.delete_model_version_tag(MODEL, found.version, LEFT)
    return candidate if older else newest


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


def registered_miou(client: MlflowClient, found: ModelVersion) -> float | None:
    """The mIoU that a version was registered with; None for one that something else than `register` made."""
    tags = found.tags
    if not tags.keys() >= EVALUATED:
        return None
    metrics = client.get_run(tags["run_id"]).data.metrics
    miou: float | None = metrics.get(evaluation_key(tags["evaluation"], "miou"))
    return miou


def has_older_digest(tags: dict[str, str]) -> bool:
    """Whether a version's digest of the val manifest was made in another way than today."""
    return tags.get(KIND) != str(DIGEST)


def fetch_bundle(model: str) -> Path:
    """Folder of a bundle, from a folder or a `models:/` URI.

    Raises:
        UsageError: neither is there, or it has other weights than it was promoted with.
    """
    if not model.startswith("models:/"):
        return Path(model)
    client = connect()
    try:
        folder = Path(mlflow.artifacts.download_artifacts(f"{model}/artifacts/bundle"))
    except (MlflowException, OSError) as error:
        raise UsageError(f"{model} cannot be fetched ({error}): promote a model, or give --model a folder") from None
    if (version := _version_of(client, model)) is not None:
        refuse_replaced(version, Bundle.open(folder).card["weights"], promised_weights(client, version))
    return folder


def _version_of(client: MlflowClient, address: str) -> int | None:
    """Number of the version of ours that an address names; None where it names something else."""
    name = address.removeprefix("models:/")
    if name.startswith(f"{MODEL}@"):
        return version_at(client, name.removeprefix(f"{MODEL}@"))
    number = name.removeprefix(f"{MODEL}/")
    return int(number) if number != name and number.isdecimal() else None


def version_rows() -> list[dict[str, str]]:
    """Every version, newest first: number, aliases, mIoU, on what, and the start of its fingerprint.

    A score on other data or with other settings than the champion's is marked; without a champion, than the newest's.
    """
    client = connect()
    try:
        aliases = client.get_registered_model(MODEL).aliases
    except MlflowException as error:
        if error.error_code != ABSENT:
            raise
        return []
    versions = sorted(_versions(client), key=lambda version: -int(version.version))
    standard = next((each for each in versions if int(each.version) == int(aliases.get(CHAMPION, 0))), versions[0])
    return [
        {
            "version": str(found.version),
            "aliases": ", ".join(name for name, number in aliases.items() if int(number) == int(found.version)),
            "miou": "?" if (miou := registered_miou(client, found)) is None else f"{miou:.4f}",
            "scored on": _scored_on(found, standard),
            "fingerprint": found.tags.get("fingerprint", "?")[:8],
        }
        for found in versions
    ]


def _scored_on(found: ModelVersion, standard: ModelVersion) -> str:
    """Which val split is behind a score, marked where data or settings are not the standard's: never compare those."""
    digest, other = (each.tags.get("val_manifest", "?")[:8] for each in (found, standard))
    if digest != other or found.tags.get(KIND) != standard.tags.get(KIND):
        return f"{digest} (other data)"
    settings = [json.loads(each.tags.get(SETTINGS, "{}")) for each in (found, standard)]
    differ = any(settings[0].get(name) != settings[1].get(name) for name in COMPARED)
    return f"{digest} (other settings)" if differ else digest


def _versions(client: MlflowClient) -> list[ModelVersion]:
    return list(every(client.search_model_versions, f"name = '{MODEL}'"))
