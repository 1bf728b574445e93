"""The facts of one sample, from its two files."""

from pathlib import Path
from typing import Any

import numpy as np

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.files import digest_file
from roadseg.imaging.masks import read_classes
from roadseg.imaging.pixels import Undecodable, read_image
from roadseg.scan.layouts.found import Found


def facts(root: Path, found: Found, classes: ClassTable) -> dict[str, Any]:
    """Read a sample and describe it; a file that cannot be read gives a row with `error`.

    Args:
        root: the data's folder.
        found: the files.
        classes: the table by which masks are read.

    Returns:
        One row of the scan, see contracts.md; what cannot be known is absent.
    """
    row: dict[str, Any] = {
        "sample": found.sample,
        "image": found.image,
        "mask": found.mask,
        "drive": found.drive,
        "split": found.split,
    }
    errors = []
    for name, read in (("image", _image_facts), ("mask", _mask_facts)):
        if path := row[name]:
            try:
                row |= read(root / path, classes)
            except Undecodable as error:
                errors.append(f"{path}: {error}")
    return row | {"error": "; ".join(errors) or None}


def _image_facts(path: Path, _: ClassTable) -> dict[str, Any]:
    image = read_image(path)
    grey = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    edges = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    return {
        "image_sha": digest_file(path),
        "height": image.shape[0],
        "width": image.shape[1],
        "brightness": float(grey.mean() / 255),
        "contrast": float(grey.std() / 255),
        "sharpness": float(edges.var()) if edges.size else 0.0,
    }


def _mask_facts(path: Path, classes: ClassTable) -> dict[str, Any]:
    mask, outside = read_classes(path, classes)
    counts = np.bincount(np.minimum(mask, classes.count).ravel(), minlength=classes.count + 1)
    return {
        "mask_sha": digest_file(path),
        "mask_height": mask.shape[0],
        "mask_width": mask.shape[1],
        "class_pixels": counts.tolist(),
        "invalid_ids": outside,
    }
