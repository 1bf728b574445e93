"""models/bundle/: a model that needs nothing but Keras, and the card that says what it is."""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import read_json, replacing, write_json
from roadseg.contracts.framing import Framing
from roadseg.contracts.model_file import check_model_file

if TYPE_CHECKING:
    import keras

REMEDY = "dvc repro train"
_TEXT = pa.string()
SAMPLES = pa.schema({"sample": _TEXT, "dataset": _TEXT, "drive": _TEXT, "image_sha": _TEXT, "phash": pa.uint64()})
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date a zip can hold


@dataclass(frozen=True)
class Surroundings:
    """What decides the bytes of a training beside code, data and parameters; None where the card does not say it.

    Attributes:
        backend: `tensorflow`, which `tensorflow-cpu` is too, or `jax`.
        backend_version, keras: versions.
        instruction_set: that the backend computed with, see `instruction_set`.
        precision: `float32` or `bfloat16`, as it was resolved.
        threads: of the backend.
    """

    backend: str | None = None
    backend_version: str | None = None
    keras: str | None = None
    instruction_set: str | None = None
    precision: str | None = None
    threads: int | None = None


@dataclass(frozen=True)
class Bundle:
    """An opened bundle.

    Attributes:
        folder: where it is.
        card: fingerprint, model, stride, height, width, aspect, tile, classes, output, params, surroundings, digests of
            weights, data, code and history, and the fingerprint of the parent whose weights it started from, if any.
        classes: the class table that the model predicts.
    """

    folder: Path
    card: dict[str, Any]
    classes: ClassTable

    @classmethod
    def open(cls, folder: Path) -> "Bundle":
        """Open a bundle of this schema or the one before, without loading Keras.

        Raises:
            UsageError: it is absent or of another schema; says what to run.
        """
        if not (folder / "model.keras").is_file():
            raise UsageError(f"{folder / 'model.keras'} is missing: run `{REMEDY}`, or give --model")
        card = read_json(folder / "card.json", "bundle", REMEDY)
        return cls(folder, card, ClassTable.model_validate(card["classes"]))

    @property
    def size(self) -> tuple[int, int]:
        """Working height and width, pixels."""
        return self.card["height"], self.card["width"]

    @property
    def framing(self) -> Framing:
        """How frames become the tiles that the model was trained on."""
        return Framing.read(self.card)

    @property
    def surroundings(self) -> Surroundings:
        """What the training computed with; all None in a card of schema 1."""
        return Surroundings(**{name: self.card.get(name) for name in Surroundings.__dataclass_fields__})

    @property
    def history(self) -> str | None:
        """Sha256 of the training's reports/history.csv, hex; None in a card of schema 1."""
        return self.card.get("history")

    def load(self) -> "keras.Model":
        """The model: uint8 (N, H, W, 3) to float32 logits (N, H, W, K), or probabilities where the card says so.

        Raises:
            UsageError: the file is none that training writes, or has other weights than the card says.
        """
        check_model_file(self.folder / "model.keras")
        import keras  # late: the TensorFlow backend loads in seconds

        try:
            model = keras.models.load_model(self.folder / "model.keras", compile=False, safe_mode=True)
        except (ValueError, TypeError, KeyError) as error:
            said = " ".join(str(error).split())
            raise UsageError(f"{self.folder / 'model.keras'} cannot be loaded ({said[:300]}): run `{REMEDY}`") from None
        if (found := weights_digest(model)) != self.card["weights"]:
            raise UsageError(
                f"{self.folder / 'model.keras'} has the weights {found[:12]}, and card.json says "
                f"{str(self.card['weights'])[:12]}: get the bundle anew, such as by `dvc checkout`"
            )
        return model


def write_bundle(folder: Path, model: "keras.Model", card: dict[str, Any], samples: pa.Table) -> None:
    """Write a bundle; equal weights and card give equal bytes.

    Args:
        folder: made if absent.
        model: computes in float32, has only stock layers with explicit names.
        card: as in docs/formats.md, without the weights' digest, which is added here.
        samples: every training image, columns `SAMPLES`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "model.keras") as temporary:
        saved = temporary.with_suffix(".keras")
        try:
            model.save(saved)
            _repack(saved, temporary)
        finally:
            saved.unlink(missing_ok=True)
    with replacing(folder / "samples.parquet") as temporary:
        pq.write_table(samples.cast(SAMPLES).sort_by("sample").replace_schema_metadata(None), temporary)
    write_json(folder / "card.json", "bundle", {**card, "weights": weights_digest(model)})


def weights_digest(model: "keras.Model") -> str:
    """Sha256 over path, shape and bytes of every weight in order, hex; no container, no dates."""
    import keras

    digest = hashlib.sha256()
    for weight in model.weights:
        value = keras.ops.convert_to_numpy(weight)
        digest.update(f"{weight.path} {value.shape} {value.dtype}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _repack(source: Path, target: Path) -> None:
    """Copy a `.keras` file with constant dates and ids: Keras writes the hour and memory addresses into it."""
    numbers: dict[int, int] = {}

    def constant(part: dict[str, Any]) -> dict[str, Any]:
        if "date_saved" in part:
            part["date_saved"] = "1980-01-01@00:00:00"
        if "shared_object_id" in part:  # the address of a dtype policy that layers share
            part["shared_object_id"] = numbers.setdefault(part["shared_object_id"], len(numbers))
        return part

    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for name in sorted(old.namelist()):
            content = old.read(name)
            if name.endswith(".json"):
                content = json.dumps(json.loads(content, object_hook=constant)).encode()
            new.writestr(zipfile.ZipInfo(name, EPOCH), content)
