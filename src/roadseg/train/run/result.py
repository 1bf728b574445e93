"""What a training leaves: the bundle with its card, the history, and what a search compares."""

from dataclasses import asdict
from typing import Any

import keras
import pandas as pd
import pyarrow as pa

from roadseg.contracts import paths
from roadseg.contracts.bundle import SAMPLES, write_bundle
from roadseg.contracts.files import digest_file, digest_of, replacing, write_json
from roadseg.contracts.shards import Shards
from roadseg.contracts.weights import NAME, Weights, write_weights
from roadseg.train.models import warm_start
from roadseg.train.models.deploy import deploy
from roadseg.train.models.known import MODELS
from roadseg.train.run.fingerprint import Identity


def write_result(
    model: keras.Model, shards: Shards, identity: Identity, history: list[dict[str, float]], parent: Weights | None
) -> None:
    """Write reports/history.csv, of its last row the scores to reports/monitored.json, and models/bundle.

    Args:
        model: with the averaged weights.
        shards: that it was trained on.
        identity: of the training.
        history: a row per epoch.
        parent: weights that it started from.
    """
    with replacing(paths.HISTORY) as temporary:
        pd.DataFrame(history).to_csv(temporary, index=False, lineterminator="\n")
    scores = {key: value for key, value in history[-1].items() if key.partition(".")[0] in {"miou", "iou"}}
    write_json(paths.MONITORED, "monitored", scores)
    name, classes = identity.params.model, shards.classes.names
    encoder = MODELS[name].encoder
    weights = warm_start.weights_of(model)
    trained = write_weights(paths.BUNDLE / NAME, weights, fingerprint=identity.fingerprint, model=name, classes=classes)
    card = _card(shards, identity) | {
        "training_weights": trained,
        "parent": parent and parent.fingerprint,
        "encoder": encoder.described if encoder and parent and parent.pretrained else None,
        "history": digest_file(paths.HISTORY),
    }
    write_bundle(paths.BUNDLE, deploy(model, MODELS[name], len(classes)), card, samples_of(shards))


def samples_of(shards: Shards) -> pa.Table:
    """The images that a training may see, columns `SAMPLES`; null where shards of before lack one."""
    tiles = shards.index[shards.index["split"] == "train"].drop_duplicates("sample")
    return pa.Table.from_pandas(tiles.reindex(columns=SAMPLES.names), SAMPLES, preserve_index=False)


def _card(shards: Shards, identity: Identity) -> dict[str, Any]:
    architecture = MODELS[identity.params.model]
    return {
        "fingerprint": identity.fingerprint,
        "model": identity.params.model,
        "stride": architecture.stride,
        **shards.framing.content,
        "classes": shards.classes.content,
        "output": architecture.output,
        "params": identity.params.model_dump(),
        "data": identity.data,
        "code": digest_of(identity.code),
        **asdict(identity.surroundings),
    }
