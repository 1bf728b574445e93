"""What MLflow holds of a version, fetched once into home and checked by digests rather than by tags."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow import MlflowClient, MlflowException

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import Evaluation, evaluation_digest, read_evaluation
from roadseg.contracts.files import digest_of, home
from roadseg.contracts.weights import ENCODER
from roadseg.gate.settings import compared_settings, key_of
from roadseg.registry.promised import promised_weights, refuse_replaced
from roadseg.registry.versions import ABSENT, EVALUATED, MODEL, has_older_digest
from roadseg.tracking.store import find_run


@dataclass(frozen=True)
class Stored:
    """A version.

    Attributes:
        version: its number.
        tags: what `register` and others wrote on it; whoever may EDIT the model may change them.
        source: names its model in MLflow.
        promised: digest of the weights that it became champion with, by the ledger; None where that does not say it.
    """

    version: int
    tags: Mapping[str, str]
    source: str
    promised: str | None = None

    @classmethod
    def find(cls, client: MlflowClient, version: int) -> "Stored":
        """Look a version up.

        Raises:
            UsageError: there is no such version.
        """
        try:
            found = client.get_model_version(MODEL, str(version))
        except MlflowException as error:
            if error.error_code != ABSENT:
                raise
            raise UsageError(f"{MODEL} has no version {version}: `roadseg models list` shows those there are") from None
        return cls(version, dict(found.tags), str(found.source), promised_weights(client, version))

    @property
    def registered(self) -> bool:
        """Whether `register` made it, which alone says what it was evaluated on."""
        return self.tags.keys() >= EVALUATED

    @cached_property
    def bundle(self) -> Bundle:
        """Its bundle, as whoever serves it gets it.

        Raises:
            UsageError: it cannot be had, or has other weights than the version was registered or promoted with.
        """
        place = home() / "reuse/models" / digest_of(self.source)
        found = Bundle.open(fetched(f"models:/{MODEL}/{self.version}/artifacts/bundle", place))
        try:
            refuse_replaced(self.version, found.card["weights"], self.promised)
            if (named := self.tags.get("weights")) not in (None, found.card["weights"]):
                raise UsageError(
                    f"version {self.version} was registered with the weights {str(named)[:12]}, and MLflow holds "
                    f"{found.card['weights'][:12]}: register that model again"
                )
        except UsageError:
            shutil.rmtree(place)  # whatever changed it, the next call fetches anew
            raise
        return found

    @property
    def evaluation_folder(self) -> Path:
        """The folder of the evaluation that it was registered with, unchecked.

        Raises:
            UsageError: it cannot be had.
        """
        name = self.tags["evaluation"]
        return fetched(f"runs:/{self.tags['run_id']}/evaluation/{name}", home() / "reuse/evaluations" / name)

    @cached_property
    def evaluation(self) -> Evaluation:
        """The evaluation that it was registered with.

        Raises:
            UsageError: there is none, it cannot be had, or its digest is another.
        """
        if not self.registered:
            raise UsageError(f"version {self.version} has no evaluation: evaluate, publish and register it")
        name, folder = self.tags["evaluation"], self.evaluation_folder
        found = read_evaluation(folder)
        if None not in (found.weights, found.val_manifest) and evaluation_digest(folder, found) != name:
            shutil.rmtree(folder)  # whatever changed it, the next call fetches anew
            raise UsageError(f"the evaluation {name[:12]} of version {self.version} is not what was registered")
        if found.weights not in (None, self.bundle.card["weights"]):
            raise UsageError(f"the evaluation of version {self.version} is of other weights: evaluate and register it")
        return found

    @property
    def older(self) -> bool:
        """Whether its evaluation says in the way of an earlier version what it was made on."""
        return has_older_digest(dict(self.tags))

    @property
    def key(self) -> str:
        """Input key of that evaluation."""
        known = self.evaluation
        return key_of(self.bundle, str(known.val_manifest), compared_settings(known), known.scoring)

    @property
    def model_bytes(self) -> int:
        """Bytes of what is served; the training's own weights beside it are not."""
        return (self.bundle.folder / "model.keras").stat().st_size


def training_samples(client: MlflowClient, stored: Stored) -> tuple[dict[str, pa.Table], list[str]]:
    """What a version and its ancestors were trained on.

    Returns:
        The samples by what the model is called, and fingerprints of ancestors that MLflow does not know.
    """
    name, bundle = f"version {stored.version}", stored.bundle
    found, unknown = {name: pq.read_table(bundle.folder / "samples.parquet")}, []
    seen, parent = {bundle.card["fingerprint"]}, bundle.card.get("parent")
    while parent and parent not in seen and not parent.startswith(ENCODER):  # an encoder has seen no drive
        seen.add(parent)
        run = find_run(client, parent)
        try:
            if run is None:
                raise UsageError("no run")
            folder = fetched(f"runs:/{run.info.run_id}/bundle", home() / "reuse/bundles" / str(run.info.run_id))
            bundle = Bundle.open(folder)
        except UsageError:
            unknown.append(parent)
            break
        found[f"ancestor {parent[:8]} of {name}"] = pq.read_table(folder / "samples.parquet")
        parent = bundle.card.get("parent")
    return found, unknown


def fetched(address: str, folder: Path) -> Path:
    """A folder of artifacts, downloaded once.

    Raises:
        UsageError: it cannot be had; says what.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as temporary:
        try:
            there = Path(mlflow.artifacts.download_artifacts(address, dst_path=temporary))
        except (MlflowException, OSError) as error:
            said = " ".join(str(error).split())[:300]
            raise UsageError(f"{address} cannot be fetched from MLflow ({said})") from None
        try:
            there.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first
                raise
    return folder
