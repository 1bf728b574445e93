"""What a pick is compared with: the data, and the picks of batches whose labels are not among them yet."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from roadseg.contracts import paths
from roadseg.contracts.files import digest_of, replacing
from roadseg.contracts.manifest import Manifest
from roadseg.drift.frames import Frame
from roadseg.imaging.pixels import read_image
from roadseg.labelling.batch import Batch
from roadseg.labelling.choose import FLAT, Known
from roadseg.labelling.measure import measured
from roadseg.labelling.sources import Source

if TYPE_CHECKING:
    from roadseg.labelling.embedding import Embedder
    from roadseg.predict.predictor import Predictor

COLUMNS = ["sample", "image", "mask", "split", "image_sha", "phash", "contrast"]
REFERENCE = 1000  # labelled pictures that new ones are compared with, spread evenly over the drives


def what_is_known(
    source: Source,
    pictures: np.ndarray,
    tree: Path,
    manifest: Manifest,
    predictor: "Predictor",
    embedder: "Embedder",
    state: Path,
    others: list[Batch],
) -> Known:
    """Gather it; of the data one vector each of `REFERENCE` labelled pictures, hashes of all but the source's own.

    Args:
        source, pictures: what is picked from, and its figures, of `measure.kind_of`.
        tree, manifest: the checkout and its manifest.
        predictor, embedder: of one model.
        state: a folder of this pick alone, which keeps vectors over a kill.
        others: the batches that there are.
    """
    own = pa.array([row["sample"] for row in source.rows], pa.string())
    rest = manifest.rows.select(COLUMNS).filter(~pc.field("sample").isin(own) & pc.field("image_sha").is_valid())
    labelled = rest.filter(pc.field("mask").is_valid() & (pc.field("split") == "train"))["image"]
    count = min(len(labelled), REFERENCE)
    images = [tree / paths.RAW / labelled[number * len(labelled) // count].as_py() for number in range(count)]
    told = rest.filter(pc.field("phash").is_valid() & (pc.field("contrast") >= FLAT))
    shas = frozenset(map(bytes.fromhex, rest["image_sha"].to_pylist()))
    copies = {bytes.fromhex(pick.image_sha): batch.picture(pick) for batch in others for pick in batch.picks}
    waiting = copies.keys() - shas
    picks = _figures({sha: copies[sha] for sha in waiting}, pictures, predictor, embedder, state)
    shares, names = manifest.class_shares().get("train"), manifest.classes.names
    return Known(
        np.concatenate([_vectors(images, embedder, state / "labelled.npy"), picks["embedding"].astype(np.float32)]),
        shas | waiting,
        np.concatenate([told["phash"].to_numpy(), picks["phash"][picks["contrast"] >= FLAT]]).astype(np.uint64),
        np.array([shares[name] for name in names]) if shares else np.full(len(names), 1 / len(names)),
        frozenset(waiting),
    )


def _vectors(images: list[Path], embedder: "Embedder", path: Path) -> np.ndarray:
    if path.exists():
        return np.asarray(np.load(path))
    vectors = np.zeros((len(images), embedder.width), np.float32)
    for place, vector in enumerate(embedder(map(read_image, images))):
        vectors[place] = vector
    with replacing(path) as temporary, temporary.open("wb") as opened:
        np.save(opened, vectors)
    return vectors


def _figures(
    copies: dict[bytes, Path], pictures: np.ndarray, predictor: "Predictor", embedder: "Embedder", state: Path
) -> np.ndarray:
    """Of picks by digest: the source's own figures where it still has them, else those of the batch's copy."""
    here = np.array([row.tobytes() in copies for row in pictures["sha"]], bool)
    there = {row.tobytes() for row in pictures["sha"][here]}
    away = [Frame(path.name, path, "") for sha, path in sorted(copies.items()) if sha not in there]
    if not away:
        return np.asarray(pictures[here])
    folder = state / f"picked-{digest_of([frame.name for frame in away])[:12]}"
    elsewhere = measured(away, predictor, embedder, folder, [])
    return np.concatenate((pictures[here], elsewhere[elsewhere["sha"].any(1)]))
