"""A batch as `label pick` leaves it, made without a model: what takes it on needs none."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from small_sets import LEVEL, cells

from roadseg.contracts import paths
from roadseg.contracts.files import home
from roadseg.contracts.manifest import read_manifest
from roadseg.imaging.pixels import resize_mask
from roadseg.labelling.batch import Batch, Pick, distinct_colors, write_batch


def batch_of(tree: Path, samples: list[str], name: str = "one", split: Any = "train", source: str = "test") -> Batch:
    """A batch of samples of the tree's manifest; the model's masks are cells of all classes."""
    manifest = read_manifest(tree / paths.MANIFEST)
    rows = {row["sample"]: row for row in manifest.records()}
    picks = []
    for rank, sample in enumerate(samples, 1):
        row, id_ = rows[sample], sample.rpartition("/")[2]
        called = f"{row['drive']}-{id_}-{row['image_sha'][:8]}"
        size = row["height"], row["width"]
        picks.append(pick_of(rank, called, row["drive"], id_, row["image"], row["image_sha"], size))
    folder = home() / "labelling" / name
    described = {"by": "mixed", "model": "ours", "weights": "0" * 64, "created": "2026-01-31T00:00:00Z", "looked": 5}
    colors = distinct_colors(manifest.classes)
    batch = Batch(folder, source, split, classes=manifest.classes, colors=colors, picks=picks, **described)
    for seed, pick in enumerate(picks):
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        shutil.copy(tree / paths.RAW / pick.image, batch.picture(pick))
        put_mask(batch, pick, resize_mask(cells(seed, LEVEL), pick.height, pick.width))
    write_batch(batch)
    return batch


def pick_of(rank: int, name: str, drive: str, id_: str, image: str, sha: str, size: tuple[int, int] = (48, 64)) -> Pick:
    ending = Path(image).suffix
    why = {"value": 0.5, "uncertain": 0.25, "rare": 2.0, "rarest": "sky", "distance": 0.125, "scene": rank}
    return Pick(rank, name, drive, id_, image, f"{name}{ending}", sha, *size, **why)  # type: ignore[arg-type]


def put_mask(batch: Batch, pick: Pick, mask: np.ndarray) -> None:
    """Let the model have said this."""
    path = batch.folder / "masks" / f"{pick.name}.png"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(mask).save(path)
