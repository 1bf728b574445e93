"""Pictures of what a model does, from the graph's files."""

from pathlib import Path

from PIL import Image

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.manifest import read_manifest
from roadseg.imaging.draw import contact_sheet, overlay
from roadseg.imaging.masks import read_classes
from roadseg.imaging.pixels import read_image, resize_image, resize_mask
from roadseg.predict.predictor import Predictor

WIDTH = 320  # pixels of one picture


def prediction_sheet(tree: Path, count: int) -> Image.Image:
    """Images, truth and prediction of the val split side by side, drives spread evenly.

    Args:
        tree: a checkout whose graph has run.
        count: of the images.
    """
    bundle, manifest = Bundle.open(tree / "models/bundle"), read_manifest(tree / "data/manifest.parquet")
    rows = manifest.records("val")
    count = min(count, len(rows))
    chosen = [rows[number * len(rows) // count] for number in range(count)]
    images = [read_image(tree / "data/raw" / row["image"]) for row in chosen]
    predictions = Predictor(bundle)(images)
    height = round(images[0].shape[0] * WIDTH / images[0].shape[1])
    sheet = []
    for row, image, predicted in zip(chosen, images, predictions, strict=True):
        truth = read_classes(tree / "data/raw" / row["mask"], manifest.classes)[0]
        small = resize_image(image, height, WIDTH)
        shown = [overlay(small, resize_mask(mask, height, WIDTH), manifest.classes, 0.6) for mask in (truth, predicted)]
        sheet.append([small, *shown])
    return contact_sheet(sheet, ["image", "truth", "prediction"], manifest.classes)
