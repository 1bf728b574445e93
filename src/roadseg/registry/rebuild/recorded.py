"""What is stored of a registered version, on this disk: model, evaluation, and what they were made of."""

import re
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import UsageError
from roadseg.registry.evidence.stored import Stored
from roadseg.registry.versions import CANDIDATE, CHAMPION, MODEL, version_at
from roadseg.tracking.origin import Origin, fetch_origin


@dataclass(frozen=True)
class Recorded:
    """A version as MLflow has it.

    Attributes:
        version: its number.
        run_id: of its training.
        bundle: its model, as it is served.
        evaluation: folder of the evaluation it was registered with.
        origin: what it can be made of again.
    """

    version: int
    run_id: str
    bundle: Bundle
    evaluation: Path
    origin: Origin


def fetch_recorded(client: MlflowClient, version: int, folder: Path) -> Recorded:
    """Bring what MLflow stores of a version to this disk.

    Args:
        client: of the store.
        version: its number.
        folder: to put it in.

    Raises:
        UsageError: there is no such version, something else than `roadseg register` made it, or its model has other
            weights than the version names.
    """
    stored = Stored.find(client, version)
    if not stored.registered:
        raise UsageError(f"version {version} was not made by `roadseg register`: nothing says where it comes from")
    run_id, evaluation = stored.tags["run_id"], stored.tags["evaluation"]
    (folder / "origin").mkdir(parents=True)
    origin = fetch_origin(client, run_id, evaluation, folder / "origin")
    return Recorded(version, run_id, stored.bundle, stored.evaluation_folder, origin)


def find_version(client: MlflowClient, model: str) -> int:
    """The number of a version.

    Args:
        client: of the store.
        model: `champion`, `candidate`, a number, or a `models:/` URI.

    Raises:
        UsageError: it names none.
    """
    found = re.fullmatch(rf"(?:models:/{MODEL}/)?(\d+)", model)
    if found:
        return int(found[1])
    alias = model.removeprefix(f"models:/{MODEL}@")
    if "/" in alias or (alias == model and alias not in (CHAMPION, CANDIDATE)):
        raise UsageError(
            f"{model} is no champion, candidate, version or models:/{MODEL} URI: see `roadseg models list`"
        )
    number = version_at(client, alias)
    if number is None:
        raise UsageError(f"no version of {MODEL} is {alias}: `roadseg models list` shows those there are")
    return number
