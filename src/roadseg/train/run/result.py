"""What a training leaves: the bundle with its card, the history, and what a search compares."""

from typing import Any

import keras
import pandas as pd
import pyarrow as pa

from roadseg.contracts import paths
from roadseg.contracts.bundle import SAMPLES, write_bundle
from roadseg.contracts.files import digest_of, replacing, write_json
from roadseg.contracts.shards import Shards
from roadseg.contracts.weights import NAME, Weights, write_weights
from roadseg.train.models import warm_start
from roadseg.train.models.deploy import deploy
from roadseg.train.models.known import MODELS
from roadseg.train.params import Resolved


def write_result(
    model: keras.Model,
    shards: Shards,
    train: Resolved,
    mark: str,
    code: dict[str, str],
    history: list[dict[str, float]],
    parent: Weights | None,
) -> None:
    """Write models/bundle, reports/history.csv and, of its last row the scores, reports/monitored.json.

    Args:
        model: with the averaged weights.
        shards: that it was trained on.
        train: all parameters.
        mark: fingerprint of the training.
        code: digests of its code by path.
        history: a row per epoch.
        parent: weights that it started from.
    """
    architecture, names = MODELS[train.model], shards.classes.names
    final = deploy(model, architecture, len(names))
    trained = write_weights(
        paths.BUNDLE / NAME, warm_start.weights_of(model), fingerprint=mark, model=train.model, classes=names
    )
    card = _card(shards, train, mark, code, architecture.stride, architecture.output)
    card |= {"training_weights": trained, "parent": parent and parent.fingerprint}
    columns = ["sample", "drive", "image_sha", "phash"]
    tiles = shards.index[shards.index["split"] == "train"].drop_duplicates("sample")[columns]
    used = pa.Table.from_pandas(tiles, SAMPLES, preserve_index=False)
    write_bundle(paths.BUNDLE, final, card, used)
    with replacing(paths.HISTORY) as temporary:
        pd.DataFrame(history).to_csv(temporary, index=False, lineterminator="\n")
    scores = {key: value for key, value in history[-1].items() if key.partition(".")[0] in {"miou", "iou"}}
    write_json(paths.MONITORED, "monitored", scores)


def _card(shards: Shards, train: Resolved, mark: str, code: dict[str, str], stride: int, output: str) -> dict[str, Any]:
    return {
        "fingerprint": mark,
        "model": train.model,
        "stride": stride,
        **shards.framing.content,
        "classes": shards.classes.content,
        "output": output,
        "params": train.model_dump(),
        "data": shards.digest,
        "code": digest_of(code),
    }
