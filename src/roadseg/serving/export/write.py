"""Files for other runtimes, each asked before it is written: it must answer as the bundle does."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from roadseg.contracts import paths
from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import DataRefused, RoadsegError, UsageError
from roadseg.contracts.files import replacing
from roadseg.contracts.framing import Framing
from roadseg.contracts.manifest import read_manifest
from roadseg.imaging.pixels import read_image, resize_image
from roadseg.imaging.tiles import cut
from roadseg.predict.batch import MAX_ON_CPU
from roadseg.predict.enlarging import enlarged_at_once
from roadseg.predict.forward import forward
from roadseg.predict.predictor import Predictor
from roadseg.serving.export.comparison import Compared, compare_models, milliseconds
from roadseg.serving.export.runtime import OnnxPredictor, onnxruntime, run_by
from roadseg.synthetic.dataset import generate

MOVED = 1e-4  # share of pixels that rounding may give another class; 1e-6 was measured
SCENES = 8  # generated, where there are no val images
CALIBRATION = 64  # training images


@dataclass(frozen=True)
class Exported:
    """A model of the table that people read.

    Attributes:
        name: `bundle`, `onnx` or `onnx-int8`.
        compared: its answers beside the bundle's.
        milliseconds: for a tile of the working size, on this machine's CPU or, for the bundle, its GPU.
        size: of its file, bytes.
    """

    name: str
    compared: Compared
    milliseconds: float
    size: int


def export_onnx(bundle: Bundle, out: Path, *, fixed: bool) -> list[Exported]:
    """Write the model as ONNX in float32.

    Args:
        bundle: of the model.
        out: the file.
        fixed: height and width are the working size alone; else any multiples of the stride. The batch is free.

    Returns:
        The bundle's model and the file's, asked on the val split of the current directory, or on generated scenes where
        it has none of the bundle's classes.

    Raises:
        UsageError: an extra is not installed, or the model has a layer that no model of ours has.
        RoadsegError: the file does not answer as the bundle; nothing is written.
    """
    content = _as_onnx(bundle, fixed)
    rows = _rows(bundle, "val")
    with tempfile.TemporaryDirectory() as folder:
        if not rows:
            generate(Path(folder) / "scenes", train=0, val=SCENES, test=0, seed=0)
        pictures = [paths.RAW / row["image"] for row in rows] or sorted(Path(folder).rglob("*_image.jpg"))
        found = _asked(bundle, {"onnx": content}, pictures, rows)
    if (moved := found[1].compared.moved) > MOVED:
        raise RoadsegError(f"{moved:.4%} of the pixels get another class in ONNX, over {MOVED:.2%}: nothing is written")
    _write(out, content)
    return found


def export_int8(bundle: Bundle, out: Path, *, fixed: bool, max_drop: float) -> list[Exported]:
    """Write the model as ONNX that computes in 8 bits, calibrated on training images.

    Args:
        bundle: of the model.
        out: the file.
        fixed: as in `export_onnx`.
        max_drop: of mIoU on the val split against the file in float32, 0..1.

    Returns:
        The bundle's model, the file in float32 and that in 8 bits, asked on the val split of the current directory.

    Raises:
        UsageError: an extra is not installed, or the current directory has no such splits.
        DataRefused: mIoU falls by more; nothing is written.
    """
    content = _as_onnx(bundle, fixed)
    train, val = _rows(bundle, "train"), _rows(bundle, "val")
    if not train or not val:
        raise UsageError(
            f"onnx-int8 is calibrated on training images and scored on the val split: run it where "
            f"{paths.MANIFEST} and {paths.RAW} have both, with the classes of the model"
        )
    from roadseg.serving.export.quantise import quantised  # late: onnx is an extra

    chosen = np.linspace(0, len(train) - 1, min(CALIBRATION, len(train))).round().astype(int)
    images = (read_image(paths.RAW / train[number]["image"]) for number in chosen)
    small = quantised(content, (tile for image in images for tile in _tiles(image, bundle.framing)))
    found = _asked(bundle, {"onnx": content, "onnx-int8": small}, [paths.RAW / row["image"] for row in val], val)
    before, after = (each.compared.miou for each in found[1:])
    if not (before is not None and after is not None and before - after <= max_drop):
        raise DataRefused(
            f"in 8 bits mIoU falls from {before:.4f} to {after:.4f}, by more than --max-drop {max_drop:g}: "
            "nothing is written; use --to onnx, or a larger --max-drop"
        )
    _write(out, small)
    return found


def _as_onnx(bundle: Bundle, fixed: bool) -> bytes:
    onnxruntime()  # says what is missing
    from roadseg.serving.export.graph import to_onnx  # late: onnx is an extra

    card = bundle.card
    about = {
        "output": str(card.get("output", "logits")),
        "weights": str(card["weights"]),
        "classes": json.dumps(bundle.classes.names),
        "framing": json.dumps(bundle.framing.content, sort_keys=True),
        "stride": str(card["stride"]),
    }
    content: bytes = to_onnx(bundle.load(), bundle.size if fixed else None, about).SerializeToString()
    return content


def _rows(bundle: Bundle, split: str) -> list[dict[str, Any]]:
    """The rows of a split that has the bundle's classes; none where the current directory has no such split."""
    if not paths.MANIFEST.exists():
        return []
    manifest = read_manifest(paths.MANIFEST)
    rows = [row for row in manifest.records(split) if row["mask"]]
    there = all((paths.RAW / row["image"]).is_file() for row in rows)
    return rows if there and manifest.classes == bundle.classes else []


def _tiles(image: np.ndarray, framing: Framing) -> np.ndarray:
    """What the model sees of an image, uint8 (T, H, W, 3)."""
    height, width = image.shape[:2]
    y0, x0, y1, x1 = framing.place(height, width)
    return cut(resize_image(image, y1 - y0, x1 - x0), framing, height, width, padding=0)


def _asked(
    bundle: Bundle, files: dict[str, bytes], pictures: Sequence[Path], rows: Sequence[dict[str, Any]]
) -> list[Exported]:
    predictors = [Predictor(bundle, batch=MAX_ON_CPU)]
    predictors += [OnnxPredictor(bundle, content, MAX_ON_CPU) for content in files.values()]
    compared = compare_models(predictors, pictures, rows)
    [tile, *_] = _tiles(read_image(pictures[0]), bundle.framing)
    models = [forward(enlarged_at_once(bundle.load()), (1, *tile.shape)), *map(run_by, files.values())]
    sizes = [(bundle.folder / "model.keras").stat().st_size, *map(len, files.values())]
    columns = zip(["bundle", *files], compared, milliseconds(models, tile), sizes, strict=True)
    return [Exported(*each) for each in columns]


def _write(out: Path, content: bytes) -> None:
    with replacing(out) as temporary:
        temporary.write_bytes(content)
