"""Pictures of what a model does, from the graph's files."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from roadseg.contracts import paths
from roadseg.contracts.bundle import Bundle
from roadseg.contracts.classes import ClassTable
from roadseg.contracts.evaluation import read_evaluation
from roadseg.contracts.manifest import read_manifest
from roadseg.gate.settings import compared_settings
from roadseg.imaging.masks import read_classes
from roadseg.imaging.pixels import read_image, resize_image, resize_mask
from roadseg.pages.draw import contact_sheet, overlay
from roadseg.predict.predictor import Predictor
from roadseg.train.run.watched import Watched

WIDTH = 320  # pixels of one picture


def prediction_sheet(tree: Path, count: int) -> Image.Image:
    """Images, truth and prediction of the val split side by side, drives spread evenly.

    Args:
        tree: a checkout whose graph has run.
        count: of the images.
    """
    bundle, manifest = Bundle.open(tree / paths.BUNDLE), read_manifest(tree / paths.MANIFEST)
    rows = manifest.records("val")
    count = min(count, len(rows))
    chosen = [rows[number * len(rows) // count] for number in range(count)]
    images = [read_image(tree / paths.RAW / row["image"]) for row in chosen]
    masks = [(tree / paths.RAW / row["mask"], row.get("coding")) for row in chosen]
    truth = [read_classes(path, manifest.classes, coding)[0] for path, coding in masks]
    settings = compared_settings(read_evaluation(tree / paths.EVALUATION))
    return _sheet(images, truth, Predictor(bundle, **settings)(images), manifest.classes)


def watched_sheet(watched: Watched) -> Image.Image:
    """Images, truth and what a training sees in them, side by side."""
    return _sheet(watched.images, watched.truth, watched.guess, watched.classes)


def _sheet(
    images: Iterable[np.ndarray], truth: Iterable[np.ndarray], guess: Iterable[np.ndarray], classes: ClassTable
) -> Image.Image:
    rows, height = [], 0
    for image, *masks in zip(images, truth, guess, strict=True):
        height = height or round(image.shape[0] * WIDTH / image.shape[1])
        small = resize_image(image, height, WIDTH)
        rows.append([small, *(overlay(small, resize_mask(mask, height, WIDTH), classes, 0.6) for mask in masks)])
    return contact_sheet(rows, ["image", "truth", "prediction"], classes)
