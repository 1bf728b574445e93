"""The deployment `predict`: masks and overlays for a folder of pictures, as `roadseg predict` makes them."""

import time
from pathlib import Path
from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.options import Group, Requester, check
from flows.run import Run, ended, recorded
from roadseg.contracts.errors import UsageError
from roadseg.machine.precision import AskedPrecision

Folder = Annotated[str, Field(min_length=1, max_length=4096)]
Batch = Annotated[int, Field(ge=1, le=4096)]
Scales = Annotated[list[Annotated[float, Field(ge=0.25, le=4)]], Field(min_length=1, max_length=8)]
Overlap = Annotated[float, Field(ge=0, le=0.75)]
CHAMPION = "models:/roadseg@champion"
EACH = 30.0  # seconds between two lines about how far it is


class PredictOptions(Group):
    """What `predict` can be told; the flow's signature has the same fields."""

    source: Folder
    out: Folder
    model: Folder = CHAMPION
    batch: Batch | None = None
    flip: bool = False
    scales: Scales = Field(default=[1.0])
    overlap: Overlap = 0.0
    precision: AskedPrecision = "auto"
    requester: Requester = ""


@flow(name="predict", log_prints=True, validate_parameters=False)  # checked in the flow, in one line
def predict(  # each is a field of the form
    source: Folder,
    out: Folder,
    model: Folder = CHAMPION,
    batch: Batch | None = None,
    flip: bool = False,
    scales: Scales = [1.0],  # noqa: B006  # never changed; None would be a toggle in the form
    overlap: Overlap = 0.0,
    precision: AskedPrecision = "auto",
    requester: Requester = "",
) -> State[Any]:
    """Write class masks and overlays at each picture's own size; broken pictures are named when all others are done.

    Args:
        source: A picture or a folder of pictures, on the worker's machine; relative to the checkout.
        out: Folder for masks/ and overlays/, made where it is not there.
        model: A models:/ URI or a bundle's folder.
        batch: Tiles predicted at once, 1 to 4096; none: sized to the device.
        flip: Average with the mirrored picture.
        scales: Of the working size, each 0.25 to 4, at most 8 of them; averaged where there are several.
        overlap: 0 to 0.75; over 0 a window slides, see evaluate.overlap in params.yaml.
        precision: That the model computes in; auto is what is fast on the worker's machine.
        requester: Your name, which is recorded as the claim it is.
    """
    given = {
        "source": source,
        "out": out,
        "model": model,
        "batch": batch,
        "flip": flip,
        "scales": scales,
        "overlap": overlap,
        "precision": precision,
        "requester": requester,
    }
    with recorded("predict", requester=str(requester)) as run:
        return _write(run, check(PredictOptions, given))


def _write(run: Run, options: PredictOptions) -> State[Any]:
    from roadseg.contracts.bundle import Bundle  # late: MLflow and Keras load in seconds
    from roadseg.predict.predictor import Predictor
    from roadseg.registry.versions import fetch_bundle
    from roadseg.serving.folders import predict_files
    from roadseg.serving.sources import find_pictures

    source, out = run.repository / options.source, run.repository / options.out
    if not source.exists():
        raise UsageError(f"{source} is not there, on the machine of the worker: give a picture or a folder")
    pictures = find_pictures([str(source)], out)
    settings = options.model_dump(include={"flip", "scales", "overlap", "precision"})
    predictor = Predictor(Bundle.open(fetch_bundle(options.model)), batch=options.batch or "auto", **settings)
    count, masks = len(pictures.paths), predict_files(predictor, pictures, out)
    run.name_it(f"predicts {count} pictures", so_far=True)
    told = time.monotonic()
    for number, _ in enumerate(masks, 1):
        if time.monotonic() - told > EACH:
            told = time.monotonic()
            get_run_logger().info("%d of %d", number, count)
    run.note(outcome="PREDICTED", final=True)
    run.name_it(f"predicted {count} picture{'s' * (count != 1)}")
    return ended("Predicted", f"masks in {Path(out, 'masks')}, overlays in {Path(out, 'overlays')}: {count} of each")
