"""reports/evaluation/: what every image adds to every figure, so that each can be computed again without inference."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import check_schema, code_digests, digest_file, digest_of, read_json, replacing, schema_of
from roadseg.contracts.shards import write_array

REMEDY = "dvc repro evaluate"
STORED = {"confusion": np.uint32, "boundary": np.uint32, "reliability": np.int64}
ABOUT = ("weights", "val_manifest", "scoring")
ABOUT_AS_JSON = ("settings", "rounding")
SCORING = ("contracts", "imaging", "predict", "evaluate")  # packages whose code decides the counts
BINS = 15  # of confidence, equally wide; as in Guo et al., "On Calibration of Modern Neural Networks", ICML 2017
UNIT = 1 << 16  # confidences are added up in whole units of 1/UNIT, so that their sum depends on no order


@dataclass(frozen=True)
class Counts:
    """What figures are computed from; the counts of images add up to those of all of them.

    Attributes:
        confusion: (..., K, K + 1), pixels by true and predicted class, predicted void last.
        boundary: (..., K, 4), boundary pixels of each class: predicted, of these near a true one, true, of these near
            a predicted one.
        reliability: (..., BINS, 3), by confidence: pixels, right pixels, sum of confidences in units of 1/UNIT; zero
            where no confidence is known.
        classes: the class table, K classes.
    """

    confusion: np.ndarray
    boundary: np.ndarray
    reliability: np.ndarray
    classes: ClassTable

    @classmethod
    def stack(cls, counts: Iterable["Counts"], classes: ClassTable) -> "Counts":
        """The counts of single images in arrays of the stored types, images first."""
        shapes = {"confusion": (classes.count, classes.count + 1), "boundary": (classes.count, 4)}
        shapes["reliability"] = (BINS, 3)
        kind = np.dtype([(name, dtype, shapes[name]) for name, dtype in STORED.items()])
        # into one block: small arrays kept between large ones that go would leave holes that nothing fits into
        images = np.fromiter((tuple(getattr(one, name) for name in STORED) for one in counts), kind)
        return cls(**{name: np.ascontiguousarray(images[name]) for name in STORED}, classes=classes)

    def __len__(self) -> int:
        return len(self.confusion)

    def __getitem__(self, chosen: np.ndarray | slice | int) -> "Counts":
        """The counts of the chosen images."""
        return Counts(self.confusion[chosen], self.boundary[chosen], self.reliability[chosen], self.classes)

    def total(self) -> "Counts":
        """The counts of all images together, int64."""
        return self._of(getattr(self, name).sum(0, dtype=np.int64) for name in STORED)

    def grouped(self, member: np.ndarray) -> "Counts":
        """The counts of groups of images, int64; `member` is the number of each image's group, int (N,), from 0."""
        arrays = []
        for name in STORED:
            counted = getattr(self, name)
            arrays.append(np.zeros((member.max(initial=-1) + 1, *counted.shape[1:]), np.int64))
            np.add.at(arrays[-1], member, counted.astype(np.int64))
        return self._of(arrays)

    def weighted(self, weights: np.ndarray) -> "Counts":
        """The counts of images taken `weights` times, (R, N) to (R, ...); exact, since all that is counted is whole."""
        times = weights.astype(np.float64)  # integers take numpy's slow path; these sums stay far below 2 ** 53
        return self._of(np.tensordot(times, getattr(self, name).astype(np.float64), 1) for name in STORED)

    def _of(self, arrays: Iterable[np.ndarray]) -> "Counts":
        confusion, boundary, reliability = arrays
        return Counts(confusion, boundary, reliability, self.classes)


@dataclass(frozen=True)
class Evaluation:
    """A model's answers on a split, counted.

    Attributes:
        images: one row per image: sample, drive (null where unknown), brightness, sharpness, and its figures by the
            names of scores.json.
        counts: of each image, in the same order.
        weights: digest of the weights that answered; None where they are not known, as in schema 1.
        val_manifest: digest of the split, see `Manifest.digest`; None where it is not known.
        settings: of the prediction, see `Predictor.settings`; None where they are not known, as in 0.1.0.
        rounding: what decides beside settings how sums were rounded: `backend` with its version, and
            `instruction_set`; None where it is not known.
        scoring: digest of the code that predicted and counted, see `scoring_code`; None where it is not known.
    """

    images: pa.Table
    counts: Counts
    weights: str | None = None
    val_manifest: str | None = None
    settings: dict[str, Any] | None = None
    rounding: dict[str, Any] | None = None
    scoring: str | None = None

    @property
    def drives(self) -> list[str]:
        """The drive of each image; an image without one counts as a drive of its own."""
        rows = zip(self.images["drive"].to_pylist(), self.images["sample"].to_pylist(), strict=True)
        return [f"image {sample}" if drive is None else drive for drive, sample in rows]


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write the folder; equal evaluations give equal bytes."""
    for name, dtype in STORED.items():
        write_array(folder / f"{name}.npy", getattr(evaluation.counts, name).astype(dtype))
    classes = json.dumps(evaluation.counts.classes.content, sort_keys=True)
    about = {name: getattr(evaluation, name) for name in (*ABOUT, *ABOUT_AS_JSON)}
    known = {
        name: json.dumps(value, sort_keys=True) if name in ABOUT_AS_JSON else value
        for name, value in about.items()
        if value is not None
    }
    metadata = {"schema": schema_of("evaluation"), "classes": classes} | known
    with replacing(folder / "images.parquet") as temporary:
        pq.write_table(evaluation.images.replace_schema_metadata(metadata), temporary)


def read_evaluation(folder: Path) -> Evaluation:
    """Read what `write_evaluation` wrote, now or one schema back.

    Raises:
        UsageError: a part is absent, damaged, of another schema, or does not fit the others; says what to run.
    """
    for name in ("images.parquet", *(f"{name}.npy" for name in STORED)):
        if not (folder / name).is_file():
            raise UsageError(f"{folder / name} is missing: run `{REMEDY}`")
    try:
        table = pq.read_table(folder / "images.parquet")
        arrays = {name: np.load(folder / f"{name}.npy") for name in STORED}
    except (OSError, ValueError, EOFError, pa.ArrowInvalid) as error:
        raise UsageError(f"{folder} is damaged ({error}): run `{REMEDY}`") from None
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    check_schema(folder / "images.parquet", metadata.get("schema"), "evaluation", REMEDY)
    classes = ClassTable.model_validate_json(metadata["classes"])
    if any(len(array) != table.num_rows for array in arrays.values()):
        raise UsageError(f"{folder}: images.parquet has {table.num_rows} rows and an array has not: run `{REMEDY}`")
    about: dict[str, Any] = {name: metadata.get(name) for name in ABOUT}
    about |= {name: json.loads(metadata[name]) for name in ABOUT_AS_JSON if name in metadata}
    return Evaluation(table.replace_schema_metadata(None), Counts(**arrays, classes=classes), **about)


def evaluation_digest(folder: Path, evaluation: Evaluation) -> str:
    """Name an evaluation by its matrices, its split, its weights and, where they are known, its settings.

    Args:
        folder: it was read from.
        evaluation: what was read; its weights and split are known.

    Returns:
        Sha256, hex.
    """
    parts = [digest_file(folder / "confusion.npy"), evaluation.val_manifest, evaluation.weights]
    return digest_of(parts if evaluation.settings is None else [*parts, evaluation.settings])


def input_key(weights: str, val_manifest: str, settings: dict[str, Any], scoring: str | None = None) -> str:
    """Name an evaluation by what goes into it, so that it is found before anything is predicted.

    Args:
        weights: digest of the weights.
        val_manifest: digest of the split.
        settings: of the prediction, see `Predictor.settings`.
        scoring: digest of the code that predicts and counts; that of this code if left out.

    Returns:
        Sha256, hex.
    """
    return digest_of([weights, val_manifest, settings, scoring or scoring_code()])


def scoring_code() -> str:
    """Sha256 of the code that predicts and counts, hex: evaluations of other code may not be compared."""
    return digest_of(code_digests(*SCORING))


def read_scores(folder: Path) -> dict[str, Any]:
    """Every figure of all images together, by name; None where it is not known.

    Raises:
        UsageError: scores.json is absent or damaged; says what to run.
    """
    return read_json(folder / "scores.json", "scores", REMEDY)
