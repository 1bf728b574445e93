"""Score a model again on another val split, once: looked up in home and in MLflow before anything is predicted."""

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow import MlflowClient

from roadseg.contracts import paths
from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import RoadsegError, UsageError
from roadseg.contracts.evaluation import Evaluation, read_evaluation, write_evaluation
from roadseg.contracts.files import home
from roadseg.contracts.manifest import Manifest, read_manifest
from roadseg.gate.settings import key_of
from roadseg.machine.signals import follow_parent
from roadseg.pipeline.sidecars import answer, ask
from roadseg.registry.evidence.stored import Stored, fetched
from roadseg.tracking.store import artifact_names

PATIENCE = 6 * 3600.0  # seconds; 2,000 large images take minutes on a GPU and hours on two cores
LOG = "rescore.log"
LAST = "images.parquet"  # sent last: it says that the arrays are there
Alone = Callable[[], AbstractContextManager[object]]  # held while a model is scored, which takes a machine's cores


def score_again(
    client: MlflowClient,
    stored: Stored,
    manifest: Manifest,
    settings: Mapping[str, Any],
    *,
    send: bool = True,
    alone: Alone = nullcontext,
) -> Evaluation:
    """The answers of a registered model on the val split in this tree.

    Args:
        client: of the store.
        stored: the version.
        manifest: of the tree in the current directory, which has the images.
        settings: of the predictor, see `compared_settings`.
        send: leave the result in MLflow, beside the run of the version, so that no other machine predicts again.
        alone: held while it is predicted, where that is needed.

    Returns:
        The evaluation; the version's own evidence stays as it is.

    Raises:
        UsageError: the bundle is out of reach, or it could not be scored; says what is missing.
    """
    key = key_of(stored.bundle, manifest.digest("val"), settings)
    folder, place = home() / "reuse/scores" / key, f"evaluation/{key}"
    run_id = stored.tags.get("run_id")
    if not folder.is_dir():
        if run_id and LAST in artifact_names(client, run_id, place):
            fetched(f"runs:/{run_id}/{place}", folder)
        else:
            images = len(manifest.records("val"))
            print(f"scoring version {stored.version} on {images} images of val, see {home() / LOG}", flush=True)
            with alone():
                _predict(stored.bundle, settings, folder)
    if send and run_id and LAST not in artifact_names(client, run_id, place):
        for path in sorted(folder.iterdir(), key=lambda path: path.name == LAST):
            client.log_artifact(run_id, str(path), place)
    return read_evaluation(folder)


def _predict(bundle: Bundle, settings: Mapping[str, Any], folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as temporary:
        whole = Path(temporary, "whole")
        arguments = (str(bundle.folder.absolute()), json.dumps(dict(settings)), str(whole))
        found = ask("roadseg.registry.evidence.rescore", *arguments, log=LOG, patience=PATIENCE)
        if found is None or found.get("error"):
            said = found["error"] if found else f"see {home() / LOG}"
            raise UsageError(f"it could not be scored on this val split: {said}")
        try:
            whole.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first
                raise


def predict_val(bundle: Bundle, settings: Mapping[str, Any]) -> Evaluation:
    """Score a bundle on the val split of the tree in the current directory, as evaluate does.

    Raises:
        UsageError: it predicts other classes.
    """
    from roadseg.evaluate.stage import evaluation_of

    manifest = read_manifest(paths.MANIFEST)
    if bundle.classes != manifest.classes:
        raise UsageError(f"it knows {bundle.classes.name}, and the data are {manifest.classes.name}")
    return evaluation_of(bundle, manifest, settings)


def score_into(bundle: Path, settings: Mapping[str, Any], folder: Path) -> None:
    """Write what `predict_val` finds."""
    write_evaluation(folder, predict_val(Bundle.open(bundle), settings))


def main() -> None:
    """Score and write the evaluation; see `score_again`."""
    follow_parent()
    bundle, settings, folder = Path(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3])
    try:
        score_into(bundle, settings, folder)
    except RoadsegError as error:
        answer({"error": str(error)})
    else:
        answer({"error": None})


if __name__ == "__main__":
    main()
