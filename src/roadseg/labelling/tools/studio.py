"""Label Studio's JSON export, and its brush masks as pictures beside it."""

import json
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import numpy as np

from roadseg.contracts.classes import VOID
from roadseg.contracts.errors import DataRefused
from roadseg.imaging.masks import decode_mask
from roadseg.imaging.pixels import naming, read_bytes
from roadseg.labelling.batch import Batch, Pick
from roadseg.labelling.tools import brush

TAGGED = re.compile(r"task-(\d+)-annotation-\d+-by-.+?-tag-(.+)-\d+$")
MAX_JSON = 1 << 30  # bytes; as objects it takes about four times of that
Mask = Callable[[], np.ndarray]


def read_tasks(folder: Path, names: list[str], batch: Batch) -> tuple[dict[str, Mask], list[str]]:
    """Masks by a pick's name, each made when it is called for, and what is wrong.

    Args:
        folder, names: the export and its files: one JSON; with `task-1-annotation-2-by-3-tag-LABEL-0.png` beside it
            these are the masks, and the JSON says whose they are.
        batch: that was exported.

    Raises:
        DataRefused: it is no list of tasks, or over `MAX_JSON`; names the file.
    """
    listed = [name for name in names if name.lower().endswith(".json")]
    if len(listed) > 1:
        raise DataRefused(f"{', '.join(listed[:3])}: several JSON files; give one export")
    tasks = _tasks(folder / listed[0], listed[0])
    tagged: dict[str, list[tuple[str, Path]]] = {}
    for name in names:
        if found := TAGGED.fullmatch(PurePosixPath(name).stem):
            tagged.setdefault(found[1], []).append((found[2], folder / name))
    masks: dict[str, Mask] = {}
    faults = []
    for number, task in enumerate(tasks, 1):
        id_ = task.get("id")
        place = f"{listed[0]}: task {id_ if isinstance(id_, int) else number}"  # text can be what no terminal takes
        pick = _pick_of(task, batch)
        if pick is None:
            faults.append(f"{place}: is no picture of batch {batch.name}")
        elif pick.name in masks:
            faults.append(f"{place}: is a second task of {pick.name}")
        elif pictures := tagged.get(str(task.get("id"))):
            masks[pick.name] = lambda pick=pick, pictures=pictures: _of_pictures(pick, pictures, batch)  # type: ignore[misc]
        elif done := _finished(task):
            if len(done) > 1:
                faults.append(f"{place}: {pick.name} has {len(done)} annotations; keep one")
            masks[pick.name] = lambda pick=pick, done=done[-1], place=place: _of_brush(pick, done, place, batch)  # type: ignore[misc]
    return masks, faults


def _tasks(path: Path, name: str) -> list[dict[str, Any]]:
    if (size := path.stat().st_size) > MAX_JSON:
        raise DataRefused(
            f"{name}: {size:,} bytes are over {MAX_JSON:,}: export fewer tasks, and import with --partial"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataRefused(f"{name}: is no JSON ({error})") from None
    if not isinstance(content, list) or not all(isinstance(task, dict) for task in content):
        raise DataRefused(f"{name}: is no list of tasks: export as JSON (not JSON-MIN, COCO or CSV)")
    return content


def _pick_of(task: dict[str, Any], batch: Batch) -> Pick | None:
    """By the name that the export gave it, else by its file, before which Label Studio may put a word and a dash."""
    data = task.get("data") if isinstance(task.get("data"), dict) else {}
    assert isinstance(data, dict)
    file = PurePosixPath(unquote(str(data.get("image", ""))).replace("?d=", "/")).name
    for pick in batch.picks:
        if data.get("name") == pick.name or file == pick.picture or file.endswith(f"-{pick.picture}"):
            return pick
    return None


def _finished(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Annotations that nobody cancelled."""
    found = task.get("annotations")
    return (
        [one for one in found if isinstance(one, dict) and not one.get("was_cancelled")]
        if isinstance(found, list)
        else []
    )


def _of_brush(pick: Pick, annotation: dict[str, Any], place: str, batch: Batch) -> np.ndarray:
    """Paint what was annotated, later over earlier; what nobody painted is void."""
    mask = np.full((pick.height, pick.width), VOID, np.uint8)
    results = annotation.get("result")
    for result in results if isinstance(results, list) else []:
        value = result.get("value") if isinstance(result, dict) else None
        if not isinstance(value, dict) or result.get("type") in {"choices", "textarea", "rating"}:
            continue
        if result.get("type") != "brushlabels" or value.get("format") != "rle":
            raise DataRefused(f"{place}: {pick.name} holds {result.get('type')!r}; only brush masks are read")
        size = (result.get("original_height"), result.get("original_width"))
        if size != (pick.height, pick.width):
            raise DataRefused(f"{place}: is {size[1]}x{size[0]}, and the picture {pick.width}x{pick.height}")
        labels = value.get("brushlabels")
        number = _id_of(labels[0] if isinstance(labels, list) and labels else "", f"{place}: {pick.name}", batch)
        try:
            mask[brush.unpack_brush(value.get("rle"), pick.height, pick.width)] = number  # type: ignore[arg-type]
        except brush.Damaged as error:
            raise DataRefused(f"{place}: the mask of {pick.name} {error}") from None
    return mask


def _of_pictures(pick: Pick, pictures: list[tuple[str, Path]], batch: Batch) -> np.ndarray:
    mask = np.full((pick.height, pick.width), VOID, np.uint8)
    for label, path in sorted(pictures, key=lambda each: each[1].name):
        with naming(Path(path.name)):
            painted = decode_mask(read_bytes(path))
        if painted.shape != mask.shape:
            theirs = f"{painted.shape[1]}x{painted.shape[0]}"
            raise DataRefused(f"{path.name}: is {theirs}, and the picture {pick.width}x{pick.height}")
        mask[painted > 127] = _id_of(label, path.name, batch)
    return mask


def _id_of(label: object, place: str, batch: Batch) -> int:
    names = batch.classes.names
    if label not in names:
        raise DataRefused(f"{place} holds label {label!r}, which the batch's table {batch.classes.name} lacks")
    return names.index(str(label))
