"""What a training sees in a few monitored images, as a picture for each of its moments in MLflow."""

import sys
from pathlib import Path

from mlflow import MlflowClient

from roadseg.pages.pictures import watched_sheet
from roadseg.tracking.store import artifact_names
from roadseg.train.run.watched import read_watched

KEY = "monitored"  # of the pictures, which MLflow shows with a slider over the steps


def send_watched(client: MlflowClient, run_id: str, folder: Path, epochs: list[int]) -> None:
    """Send the pictures that the run lacks.

    Args:
        client: of the store.
        run_id: where to.
        folder: of the run, in home; what is gone from it or damaged is passed over.
        epochs: whose pictures the run shall have.
    """
    # of the two files of a picture MLflow writes the compressed one last
    there = {name.partition("+timestamp")[0] for name in artifact_names(client, run_id, "images") if "+comp" in name}
    for epoch in epochs:
        if f"{KEY}+step+{epoch}" in there:
            continue
        if watched := read_watched(folder, epoch):
            client.log_image(run_id, watched_sheet(watched), key=KEY, step=epoch, synchronous=True)
        else:
            print(
                f"{folder}: the picture of epoch {epoch} is gone or damaged, passed over", file=sys.stderr, flush=True
            )
