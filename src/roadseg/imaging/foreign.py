"""JSON of other tools: what it is, and the way from there to masks."""

from collections.abc import Callable
from typing import Any

MASKS = "and import the masks instead of the JSON"


def _has(*keys: str) -> Callable[[Any], bool]:
    return lambda content: isinstance(content, dict) and content.keys() >= set(keys)


def _lists(*keys: str) -> Callable[[Any], bool]:
    return lambda content: isinstance(content, list) and bool(content) and _has(*keys)(content[0])


# The first that fits names the tool.
TOOLS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("labelme", _has("shapes"), "run labelme's `labelme2voc.py`"),
    ("COCO", _has("annotations", "images"), "draw each image's annotations with pycocotools' `annToMask`"),
    ("the VGG Image Annotator", _has("_via_img_metadata"), "draw its regions with the tool's own scripts"),
    ("the VGG Image Annotator", _has("regions"), "draw its regions with the tool's own scripts"),
    ("Label Studio", _lists("annotations"), "export from it as brush labels to PNG"),
    ("Label Studio", _has("annotations", "data"), "export from it as brush labels to PNG"),
    ("Supervisely", _has("objects", "size"), "export from it as masks"),
    ("Datumaro", _has("items", "categories"), "run `datum convert -f voc_segmentation`"),
    ("CVAT", _lists("shapes"), "export from it as `Segmentation mask 1.1`"),
    ("Labelbox", _has("data_row"), "export from it as segmentation masks"),
    ("BDD100K", _has("frames"), "run `bdd100k.label.to_mask`"),
    ("BDD100K", _lists("labels", "name"), "run `bdd100k.label.to_mask`"),
    ("GeoJSON", _has("features"), "draw its features with a tool for maps, as `gdal_rasterize`,"),
)


def told_apart(content: Any) -> str:
    """One sentence about JSON that is no list of IDD's polygons; empty where its tool is not known.

    Args:
        content: decoded.
    """
    for tool, fits, way in TOOLS:
        if fits(content):
            return f"is JSON of {tool}, not polygons as IDD and Cityscapes store them: {way} {MASKS}"
    return ""
