"""What new pictures are compared with: `drift/reference.parquet` of the champion's run, made once."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from mlflow import MlflowClient

from roadseg.contracts import paths
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.files import home
from roadseg.contracts.manifest import read_manifest
from roadseg.drift.finding import Seen, find_drift
from roadseg.drift.frames import Frame, frames_in
from roadseg.drift.measure import measure
from roadseg.drift.reference import NAME, Reference, read_seen, write_seen
from roadseg.gate.settings import compared_settings
from roadseg.predict.predictor import Predictor
from roadseg.registry.evidence.stored import Stored, fetched
from roadseg.registry.versions import CHAMPION, version_at
from roadseg.tracking.store import artifact_names, connect
from roadseg.workspace.plumbing import maybe

FOLDER = "drift"


class OutOfReach(UsageError):
    """Nothing can be compared: there is no champion, or neither its reference nor its images are at hand."""


def look_for_drift(folder: Path, trees: Sequence[Path], *, level: float, distance: float, most: int) -> Seen:
    """Compare the pictures of a folder with what the champion knows.

    Args:
        folder: of new pictures, see `frames_in`.
        trees: checkouts that may have the champion's images, tried in turn where its reference has to be made.
        level, distance: see `find_drift`.
        most: pictures to look at.

    Raises:
        OutOfReach: there is no champion that `register` made, or no tree has its images; says what to do.
        UsageError: the folder holds no pictures.
        DataRefused: none of them can be read.
    """
    frames = frames_in(folder, most)
    client = connect()
    version = version_at(client, CHAMPION)
    if version is None:
        raise OutOfReach("there is no champion to compare with: `roadseg promote` a version first")
    stored = Stored.find(client, version)
    reference = _reference(client, stored, trees)
    predictor = Predictor(stored.bundle, **reference.settings)  # answers as it did for the reference
    new, faults = measure(frames, predictor)
    if not len(new):
        raise DataRefused(f"none of the {len(frames)} pictures in {folder} can be read: {faults[0]}")
    finding = find_drift(reference, new, level=level, distance=distance, faults=faults)
    return Seen(version, predictor, reference, new, finding)


def at_hand(repository: Path) -> list[Path]:
    """Where a champion's images may be: a checkout, and the workspace in home that runs work in."""
    return [repository, home() / "workspace" / maybe(repository, "rev-parse", "--show-prefix")]


def _reference(client: MlflowClient, stored: Stored, trees: Sequence[Path]) -> Reference:
    if not stored.registered:
        raise OutOfReach(f"version {stored.version} was not made by `roadseg register`: nothing says what it knows")
    run_id = stored.tags["run_id"]
    if NAME in artifact_names(client, run_id, FOLDER):
        found = read_seen(fetched(f"runs:/{run_id}/{FOLDER}", home() / "reuse/drift" / run_id) / NAME)
        if found.weights == stored.bundle.card["weights"]:
            return found
    made = _make(stored, trees)
    with TemporaryDirectory() as folder:
        write_seen(Path(folder, NAME), made)
        client.log_artifact(run_id, str(Path(folder, NAME)), FOLDER)
    return made


def _make(stored: Stored, trees: Sequence[Path]) -> Reference:
    missing = []
    for tree in trees:
        try:
            train, val = _images(stored, tree)
        except UsageError as error:
            missing.append(str(error))
            continue
        settings = compared_settings(stored.evaluation)
        parts = {"train": measure(train), "val": measure(val, Predictor(stored.bundle, **settings))}
        if faults := [fault for _, found in parts.values() for fault in found]:
            missing.append(f"{tree}: {len(faults)} of its images cannot be used, such as {faults[0]}")
            continue
        rows = pd.concat([rows.assign(split=split) for split, (rows, _) in parts.items()], ignore_index=True)
        return Reference(rows, stored.bundle.card["weights"], settings)
    raise OutOfReach(
        f"version {stored.version} has no drift reference yet, and its images are out of reach ({'; '.join(missing)}): "
        "`dvc pull` them, then run `roadseg drift FOLDER` once in the checkout that has them"
    )


def _images(stored: Stored, tree: Path) -> tuple[list[Frame], list[Frame]]:
    """The champion's training images and unseen val images in a tree, as frames.

    Raises:
        UsageError: some or all are not there.
    """
    rows = read_manifest(tree / paths.MANIFEST).records()
    seen = set(pq.read_table(stored.bundle.folder / "samples.parquet")["image_sha"].to_pylist())
    train = {row["image_sha"]: row for row in rows if row["image_sha"] in seen}
    val = [row for row in rows if row["split"] == "val" and row["image_sha"] not in seen]
    if lacking := len(seen - train.keys()):
        raise UsageError(f"{tree}: {lacking} of its {len(seen)} training images are not in {paths.MANIFEST}")
    for split, there in (("train", train), ("val", val)):
        if not there:
            raise UsageError(f"{tree}: {paths.MANIFEST} holds none of its {split} images")
    found = [_frame(row, tree) for row in train.values()], [_frame(row, tree) for row in val]
    if absent := [frame.path for frame in found[0] + found[1] if not frame.path.is_file()]:
        raise UsageError(f"{len(absent)} images are missing, such as {absent[0]}")
    return found


def _frame(row: dict[str, Any], tree: Path) -> Frame:
    drive = f"{row['dataset'] or ''}/{row['drive']}" if row["drive"] else row["sample"]
    # the bytes are checked: nobody holds a lock here, and a drive may be replaced while it is read
    return Frame(row["sample"], tree / paths.RAW / row["image"], drive, sha=row["image_sha"])
