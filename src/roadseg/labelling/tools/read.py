"""What an annotation tool gave back: a mask for each picture of a batch, or a refusal that names what is wrong."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from roadseg.contracts.classes import VOID
from roadseg.contracts.errors import DataRefused
from roadseg.imaging.masks import BYTE_MODES, decode_colors, decode_mask
from roadseg.imaging.pixels import decode_picture, lossy_coding, naming, read_bytes
from roadseg.labelling.batch import Batch, Pick
from roadseg.labelling.tools.studio import read_tasks
from roadseg.scan.lists import lines
from roadseg.scan.not_data import files_in

NOTHING = {"background", "void", "unlabeled", "unlabelled"}  # names of what is not annotated
COLORS, MAP = "label_colors.txt", "labelmap.txt"
CITYSCAPES = re.compile(r"_gtFine_(color|labelIds|instanceIds)$", re.IGNORECASE)
SHOWN = 3

Mask = Callable[[], np.ndarray]


@dataclass
class Returned:
    """Masks by a pick's name, each read when it is called for, and what is wrong with the export as a whole."""

    masks: dict[str, Mask] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Labels:
    """How an export writes classes: ids by colour and by place in its list; names that the batch does not know.

    Ids are those of the batch, `VOID` for nothing; -1 for labels that it does not know.
    """

    of_color: dict[int, int]
    of_place: list[int]
    unknown: dict[int, str]

    @classmethod
    def of(cls, batch: Batch, listed: list[tuple[str, tuple[int, ...]]]) -> "Labels":
        """From names and colours in the order of the list."""
        known = {name.lower(): number for number, name in enumerate(batch.classes.names)}
        known |= dict.fromkeys(NOTHING - known.keys(), VOID)
        ids = [known.get(name.lower(), -1) for name, _ in listed]
        packed = [(color[0] << 16) + (color[1] << 8) + color[2] for _, color in listed]
        unknown = {color: name for (name, _), color, number in zip(listed, packed, ids, strict=True) if number < 0}
        return cls({0: VOID} | dict(zip(packed, ids, strict=True)), ids, unknown)


def read_export(folder: Path, batch: Batch) -> Returned:
    """Find what a tool gave back, by the names of its files.

    Args:
        folder: unpacked.
        batch: that was exported.

    Raises:
        DataRefused: it is laid out as none of the tools lays out, or a list in it is broken.
    """
    names = files_in(folder)
    stems = {PurePosixPath(name).name.lower() for name in names}
    if MAP in stems or any("/SegmentationClass/" in f"/{name}" for name in names):
        return _voc(folder, names, batch)
    if any(CITYSCAPES.search(PurePosixPath(name).stem) for name in names):
        return _cityscapes(folder, names, batch)
    if COLORS in stems or any("annot/" in name for name in names):
        return _camvid(folder, names, batch)
    if any(name.lower().endswith(".json") for name in names):
        return Returned(*read_tasks(folder, names, batch))
    return _folders(folder, names, batch)


def _voc(folder: Path, names: list[str], batch: Batch) -> Returned:
    listed = []
    for line in _lines(folder, names, MAP):
        label, _, rest = line.partition(":")
        listed.append((label, _rgb(line, rest.partition(":")[0].split(","))))
    labels = _labels(batch, listed)
    return _by_stem(folder, [name for name in names if "/SegmentationClass/" in f"/{name}"], batch, labels)


def _camvid(folder: Path, names: list[str], batch: Batch) -> Returned:
    labels = _labels(batch, _colors(folder, names))
    annotated = [name for name in names if PurePosixPath(name).parent.name.endswith("annot")]
    return _by_stem(folder, annotated, batch, labels)


def _cityscapes(folder: Path, names: list[str], batch: Batch) -> Returned:
    labels, listed = _labels(batch, _colors(folder, names)), {}
    for kind in ("labelids", "color"):  # colours where both are there
        for name in names:
            found = CITYSCAPES.search(PurePosixPath(name).stem)
            if found and found[1].lower() == kind:
                listed[CITYSCAPES.sub("", PurePosixPath(name).stem)] = name
    returned = Returned()
    for stem, name in listed.items():
        _take(returned, folder, name, stem, batch, labels)
    return returned


def _folders(folder: Path, names: list[str], batch: Batch) -> Returned:
    masks = [name for name in names if PurePosixPath(name).parent.name.lower() == "masks"]
    masks = masks or [name for name in names if name.lower().endswith(".png")]
    if not masks:
        raise DataRefused(
            "holds no masks: give what CVAT (Segmentation mask, CamVid, Cityscapes) or Label Studio (JSON) exports, or "
            "masks/NAME.png"
        )
    return _by_stem(folder, masks, batch, None)


def _by_stem(folder: Path, names: list[str], batch: Batch, labels: Labels | None) -> Returned:
    returned = Returned()
    for name in names:
        _take(returned, folder, name, PurePosixPath(name).stem, batch, labels)
    return returned


def _take(returned: Returned, folder: Path, name: str, stem: str, batch: Batch, labels: Labels | None) -> None:
    pick = next((pick for pick in batch.picks if pick.name == stem), None)
    if pick is None:
        returned.faults.append(f"{name}: is no picture of batch {batch.name}")
    elif pick.name in returned.masks:
        returned.faults.append(f"{name}: is a second mask of {pick.name}")
    else:
        returned.masks[pick.name] = lambda: _mask(folder / name, name, pick, batch, labels)


def _mask(path: Path, name: str, pick: Pick, batch: Batch, labels: Labels | None) -> np.ndarray:
    """Ids of the batch's classes, uint8 (H, W).

    Raises:
        DataRefused: names the file: no whole picture, of another size, lossy, or with what is no label.
    """
    with naming(Path(name)):
        content = read_bytes(path)
    if lossy := lossy_coding(content):
        raise DataRefused(f"{name}: is {lossy}, which changes ids: export masks as PNG")
    with naming(Path(name)):
        picture = decode_picture(content)
        if (picture.height, picture.width) != (pick.height, pick.width):
            theirs = f"{picture.width}x{picture.height}"
            raise DataRefused(f"{name}: is {theirs}, and the picture {pick.width}x{pick.height}")
        of_colors = picture.mode not in BYTE_MODES or (picture.mode == "P" and labels is not None)
        stored = decode_colors(content) if of_colors else decode_mask(content)
    return to_batch_ids(stored, name, batch, labels, of_colors=of_colors)


def to_batch_ids(stored: np.ndarray, name: str, batch: Batch, labels: Labels | None, *, of_colors: bool) -> np.ndarray:
    """Map what a mask stores to the batch's ids.

    Args:
        stored: uint8 (H, W), places in the export's list (the ids themselves without one); or packed colours.
        name: of the file.
        batch: its classes.
        labels: the export's list; None: the batch's own ids and colours.
        of_colors: whether `stored` are colours.

    Raises:
        DataRefused: something in it is no label; names the first and where it is.
    """
    own = labels or Labels.of(batch, list(batch.colors.items()))
    places = own.of_place if labels else list(range(batch.classes.count))
    table = own.of_color if of_colors else dict(enumerate(places)) | {VOID: VOID}
    values, inverse = np.unique(stored, return_inverse=True)
    ids = np.array([table.get(int(value), -1) for value in values], np.int16)
    if (ids < 0).any():
        value = int(values[ids < 0][0])
        y, x = (int(each) for each in np.argwhere(stored == value)[0])
        shown = f"#{value:06x}" if of_colors else str(value)
        label = own.unknown.get(value, "") if of_colors else ""
        called = (
            f"label {label!r}, which the batch's table {batch.classes.name} lacks" if label else "no label of its list"
        )
        raise DataRefused(f"{name}: {shown} at x {x}, y {y} is {called}")
    return np.asarray(ids[inverse.reshape(stored.shape)], np.uint8)


def _labels(batch: Batch, listed: list[tuple[str, tuple[int, ...]]]) -> Labels:
    return Labels.of(batch, listed or [("background", (0, 0, 0)), *batch.colors.items()])


def _colors(folder: Path, names: list[str]) -> list[tuple[str, tuple[int, ...]]]:
    found = []
    for line in _lines(folder, names, COLORS):
        *color, label = line.split(None, 3)
        found.append((label, _rgb(line, color)))
    return found


def _lines(folder: Path, names: list[str], wanted: str) -> Iterator[str]:
    path = next((folder / name for name in names if PurePosixPath(name).name.lower() == wanted), None)
    yield from (line for line in (lines(path) if path else []) if not line.startswith("#"))


def _rgb(line: str, parts: list[str]) -> tuple[int, ...]:
    numbers = [part.strip() for part in parts]  # no more than three digits: int() refuses thousands by a traceback
    if len(parts) != 3 or not all(part.isdecimal() and len(part) <= 3 and int(part) < 256 for part in numbers):
        raise DataRefused(f"{line[:80]!r} in the list of labels is no label with a colour")
    return tuple(map(int, numbers))
