"""Stage evaluate: meet the val split through the door that serves."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field
from rich.progress import track

from roadseg.contracts import paths
from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import DataRefused
from roadseg.contracts.evaluation import Counts, Evaluation, scoring_code
from roadseg.contracts.manifest import Manifest, read_manifest
from roadseg.contracts.params import Section
from roadseg.evaluate.counting import count
from roadseg.evaluate.scores import evaluated
from roadseg.evaluate.write import write_scores
from roadseg.imaging.masks import read_classes
from roadseg.imaging.pixels import read_image
from roadseg.machine.precision import AskedPrecision
from roadseg.machine.workers import map_ahead

if TYPE_CHECKING:
    from roadseg.predict.predictor import Predictor

READS = (paths.RAW, paths.MANIFEST, paths.BUNDLE)
WRITES = (paths.EVALUATION, paths.METRICS)
AHEAD = 4  # predicted images that wait to be counted
COLUMNS = ["sample", "image", "mask", "drive", "split", "image_sha", "mask_sha", "brightness", "sharpness", "coding"]


class EvaluateParams(Section):
    """What evaluate may be told."""

    batch: Annotated[int, Field(gt=0)] | Literal["auto"] = Field(
        description="tiles predicted at once; auto: sized to the device"
    )
    flip: bool = Field(description="average with the mirrored image")
    scales: list[Annotated[float, Field(ge=0.25, le=4)]] = Field(
        min_length=1, description="factors of the working size; scores are averaged over them"
    )
    overlap: float = Field(
        ge=0,
        le=0.75,
        description="over 0: a window of the working size slides over frames scaled beyond it or cut into tiles; "
        "share of its side that neighbouring windows have in common",
    )
    precision: AskedPrecision = Field(description="auto: bfloat16 on tensor cores, AMX or AVX512-BF16")
    resamples: int = Field(ge=100, description="draws of the bootstrap behind the intervals")
    seed: int = Field(ge=0, description="decides the draws of the bootstrap")


def run(*, evaluate: EvaluateParams) -> None:
    """Score the bundle on the val split, against the original masks.

    Raises:
        DataRefused: the bundle predicts other classes than the data have.
    """
    bundle, manifest = Bundle.open(paths.BUNDLE), read_manifest(paths.MANIFEST, columns=COLUMNS)
    if bundle.classes != manifest.classes:
        raise DataRefused(f"the model knows {bundle.classes.name}, the data are {manifest.classes.name}: train again")
    settings = evaluate.model_dump(include={"batch", "flip", "scales", "overlap", "precision"})
    evaluation = evaluation_of(bundle, manifest, settings)
    places = paths.EVALUATION, paths.METRICS
    write_scores(*places, evaluation, resamples=evaluate.resamples, seed=evaluate.seed)


def evaluation_of(bundle: Bundle, manifest: Manifest, settings: Mapping[str, Any]) -> Evaluation:
    """Predict and count the val split.

    Args:
        bundle: predicts the classes of the manifest.
        manifest: of data/raw in the current directory, with `COLUMNS` at least.
        settings: of `Predictor`.
    """
    from roadseg.predict.predictor import Predictor  # late: Keras loads in seconds

    rows, predictor = manifest.records("val"), Predictor(bundle, **settings)
    return replace(
        evaluated(rows, counted(rows, predictor)),
        weights=bundle.card["weights"],
        val_manifest=manifest.digest("val"),
        settings=predictor.settings,
        rounding=predictor.rounding,
        scoring=scoring_code(),
    )


def counted(rows: list[dict[str, Any]], predictor: "Predictor") -> Counts:
    """Predict the rows' images and count each against its mask, beside the prediction of the next ones."""
    classes = predictor.bundle.classes

    def one(answer: tuple[dict[str, Any], tuple[np.ndarray, np.ndarray]]) -> Counts:
        row, (mask, sure) = answer
        truth, _ = read_classes(paths.RAW / row["mask"], classes, row.get("coding"))
        return count(truth, mask, classes, sure)

    answers = zip(rows, predictor.with_confidence(images(rows)), strict=True)
    with ThreadPoolExecutor(1) as beside:
        found = map_ahead(beside, one, answers, AHEAD)
        return Counts.stack(track(found, "evaluate", len(rows)), classes)


def images(rows: list[dict[str, Any]]) -> Iterator[np.ndarray]:
    """The rows' images, uint8 (H, W, 3), decoded one by one."""
    for row in rows:
        yield read_image(paths.RAW / row["image"])
