"""Predict a picture or a folder of pictures into masks and overlays."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import DataRefused, UsageError
from roadseg.contracts.files import replacing
from roadseg.imaging.pixels import SUFFIXES, Undecodable, read_image
from roadseg.machine.precision import AskedPrecision
from roadseg.pages.draw import overlay
from roadseg.predict.predictor import Predictor
from roadseg.scan.layouts.names import folded
from roadseg.scan.not_data import picture_names

WRITTEN = ("masks", "overlays")
SHOWN = 5


def pictures_in(source: Path, out: Path | None = None) -> list[Path]:
    """The pictures of a folder, sorted, or the one picture.

    Args:
        source: a picture, or a folder; what a prediction wrote into it before is passed over.
        out: where this prediction writes.

    Raises:
        UsageError: there is none, or two would be written under one name.
    """
    if source.is_file():
        return [source]
    inner = [PurePosixPath(name) for name in picture_names(source)]
    written = {folder for name in inner for folder in name.parents if _is_written(source / folder)}
    written |= {PurePosixPath(out.resolve().relative_to(source.resolve()))} if out and _is_in(out, source) else set()
    theirs = {folder / kind for folder in written for kind in WRITTEN}
    found = [source / name for name in inner if theirs.isdisjoint(name.parents)]
    if not found:
        raise UsageError(f"{source} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    names: dict[str, Path] = {}
    for path in found:
        if (other := names.setdefault(folded(path.with_suffix("").as_posix()), path)) != path:
            raise UsageError(
                f"{path} and {other} differ in the ending only, or in large letters, so their masks would have one name"
            )
    return found


def _is_written(folder: Path) -> bool:
    """Whether a prediction wrote into a folder: the overlays that stand there are those of the masks."""
    masks, overlays = ({path.stem for path in (folder / kind).rglob("*.*")} for kind in WRITTEN)
    return bool(overlays) and overlays <= masks


def _is_in(out: Path, source: Path) -> bool:
    return out.resolve().is_relative_to(source.resolve())


def predict_files(predictor: Predictor, paths: list[Path], root: Path, out: Path) -> Iterator[Path]:
    """Write `out/masks/<relative path>.png` and `out/overlays/<relative path>.jpg` for each picture.

    Args:
        predictor: makes the masks.
        paths: pictures below `root`.
        root: the folder that written names are relative to.
        out: made if absent.

    Yields:
        The path of each mask written: uint8 class ids, at the picture's own size.

    Raises:
        DataRefused: files are no pictures; names them, when all others are done.
    """
    seen: list[tuple[Path, np.ndarray]] = []  # what the predictor has taken and not answered, at most a batch
    faults: list[str] = []

    def taken() -> Iterator[np.ndarray]:
        for path in paths:
            try:
                seen.append((path, read_image(path)))
            except Undecodable as error:
                faults.append(str(error))
            else:
                yield seen[-1][1]

    for mask in predictor(taken()):
        path, image = seen.pop(0)
        name = path.relative_to(root)
        target = _save(Image.fromarray(mask), out / WRITTEN[0] / name.with_suffix(".png"), "PNG")
        painted = overlay(image, mask, predictor.bundle.classes)
        _save(Image.fromarray(painted), out / WRITTEN[1] / name.with_suffix(".jpg"), "JPEG")
        yield target
    if faults:
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        done = len(paths) - len(faults)
        raise DataRefused(f"{'; '.join(faults[:SHOWN])}{more}; the other {done} have masks in {out / WRITTEN[0]}")


def predict_folder(
    source: Path,
    out: Path,
    bundle: Path,
    *,
    batch: int | None,
    flip: bool,
    scales: list[float],
    overlap: float,
    precision: AskedPrecision,
) -> tuple[int, Iterator[Path]]:
    """Predict a picture or a folder of pictures.

    Args:
        source: a picture or a folder, see `pictures_in`.
        out: see `predict_files`.
        bundle: the folder of the model.
        batch: tiles predicted at once; None: sized to the device.
        flip, scales, overlap, precision: see `Predictor`.

    Returns:
        How many pictures there are, and what `predict_files` yields as it goes.

    Raises:
        UsageError: there is no model, or no picture.
    """
    pictures = pictures_in(source, out)
    model = Bundle.open(bundle)
    predictor = Predictor(model, batch=batch or "auto", flip=flip, scales=scales, overlap=overlap, precision=precision)
    root = source if source.is_dir() else source.parent
    return len(pictures), predict_files(predictor, pictures, root, out)


def _save(picture: Image.Image, path: Path, form: str) -> Path:
    with replacing(path) as temporary:
        picture.save(temporary, form, quality=92)
    return path
