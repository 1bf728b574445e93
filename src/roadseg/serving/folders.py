"""Predict a picture or a folder of pictures into masks and overlays."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import replacing
from roadseg.imaging.pixels import SUFFIXES, read_image
from roadseg.pages.draw import overlay
from roadseg.predict.predictor import Predictor


def pictures_in(source: Path) -> list[Path]:
    """The pictures of a folder, sorted, or the one picture.

    Raises:
        UsageError: there is none, or two would be written under one name.
    """
    found = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise UsageError(f"{source} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    names: dict[Path, Path] = {}
    for path in found:
        if (other := names.setdefault(path.with_suffix(""), path)) != path:
            raise UsageError(f"{path} and {other} differ in the ending only, so their masks would have one name")
    return found


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
        DataRefused: a file is no picture; names it.
    """
    seen: list[np.ndarray] = []  # images that the predictor has taken and not answered, at most a batch

    def taken() -> Iterator[np.ndarray]:
        for path in paths:
            seen.append(read_image(path))
            yield seen[-1]

    for path, mask in zip(paths, predictor(taken()), strict=True):
        name = path.relative_to(root)
        target = _save(Image.fromarray(mask), out / "masks" / name.with_suffix(".png"), "PNG")
        painted = overlay(seen.pop(0), mask, predictor.bundle.classes)
        _save(Image.fromarray(painted), out / "overlays" / name.with_suffix(".jpg"), "JPEG")
        yield target


def _save(picture: Image.Image, path: Path, form: str) -> Path:
    with replacing(path) as temporary:
        picture.save(temporary, form, quality=92)
    return path
