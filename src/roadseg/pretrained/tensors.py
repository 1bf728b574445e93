"""Tensors from a file that PyTorch wrote, without PyTorch: of its pickle tensors are read and nothing else.

Both formats: the zip archive of today, and the row of pickles of before 2020.

Source: torch/serialization.py of PyTorch 2.
"""

import io
import zipfile
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from roadseg.contracts.errors import DataRefused
from roadseg.pretrained.pickles import Refused, View, carry_out, refuse

LARGEST = 1 << 30  # bytes of a file; ConvNeXt-Tiny has 110 MB
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
FAULTS = (
    *(AttributeError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError),
    *(zipfile.BadZipFile, OSError, RuntimeError, MemoryError),
)
Stored = dict[str, np.ndarray]  # values of storages by key


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Read a state dict.

    Args:
        path: a `.pth` or `.pt` file.

    Returns:
        Arrays by their names; any shape, whatever type the file has.

    Raises:
        DataRefused: the file is absent, damaged, or holds something else than tensors; names it.
    """
    try:
        if path.stat().st_size > LARGEST:
            refuse(f"it has over {LARGEST} bytes")
        content = path.read_bytes()
        views, stored = (_of_zip if zipfile.is_zipfile(io.BytesIO(content)) else _of_pickles)(content)
        if sum(prod(each.shape) * np.dtype(each.storage.kind).itemsize for each in views.values()) > len(content):
            refuse("its tensors have more bytes than the file")
        return {name: _read(each, stored) for name, each in views.items()}
    except Refused as error:
        said = str(error)
    except FAULTS as error:
        said = f"it is no file of tensors that can be read ({type(error).__name__}: {error})"
    raise DataRefused(f"{path} is refused: {' '.join(said.split())[:300]}; give the file as it is published")


def _read(view: View, stored: Stored) -> np.ndarray:
    """A copy of a tensor's values, all of which stand in its storage."""
    (key, kind, count), place, shape, steps = view
    values = stored[key]
    if len(values) != count or values.dtype != kind:
        refuse(f"storage {key} has {len(values)} values, not {count}")
    last = place + sum((size - 1) * step for size, step in zip(shape, steps, strict=True))
    wanted: int = prod(shape)
    if wanted > count - place or (wanted and last >= count):
        refuse(f"a tensor of shape {shape} is larger than what is stored for it")
    strides = [step * values.itemsize for step in steps]
    return np.lib.stride_tricks.as_strided(values[place:], shape, strides, writeable=False).copy()


def _views(found: Any) -> dict[str, View]:
    if type(found) is not dict:
        refuse(f"it holds a {type(found).__name__}, not tensors by their names")
    for name, each in found.items():
        if type(each) is not View:
            refuse(f"{name[:80]} is a {type(each).__name__}, not a tensor")
    return found


def _of_pickles(content: bytes) -> tuple[dict[str, View], Stored]:
    """Magic number, protocol, sizes, tensors, keys of the storages, then those one after another."""
    stream, stored = io.BytesIO(content), Stored()
    if carry_out(stream) != MAGIC or carry_out(stream) != PROTOCOL:
        refuse("it does not begin as PyTorch's files do")
    carry_out(stream)  # sizes of C's types where it was written
    views = _views(carry_out(stream))
    kinds = {each.storage.key: np.dtype(each.storage.kind) for each in views.values()}
    for key in carry_out(stream):
        if key not in kinds:
            refuse("it stores what no tensor has")
        length, kind = int.from_bytes(stream.read(8), "little"), kinds[key]
        if length * kind.itemsize > len(content) - stream.tell():
            refuse("it ends within its values")
        stored[key] = np.frombuffer(content, kind, length, stream.tell())
        stream.seek(length * kind.itemsize, io.SEEK_CUR)
    return views, stored


def _of_zip(content: bytes) -> tuple[dict[str, View], Stored]:
    """A folder with `data.pkl`, and each storage's values in a file of `data/`."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {member.filename.partition("/")[2]: member for member in archive.infolist()}
        if len(members) != len(archive.infolist()) or "data.pkl" not in members:
            refuse("it holds no data.pkl, or two files of one name")
        if any(member.compress_type or member.file_size > len(content) for member in members.values()):
            refuse("a part of it is compressed")
        if sum(member.file_size for member in members.values()) > len(content):
            refuse("its parts have more bytes than the file")
        if "byteorder" in members and archive.read(members["byteorder"]) != b"little":
            refuse("its values are not stored with the least byte first")
        views, stored = _views(carry_out(io.BytesIO(archive.read(members["data.pkl"])))), Stored()
        for each in views.values():
            key, kind, _ = each.storage
            if key not in stored:
                stored[key] = np.frombuffer(archive.read(members[f"data/{key}"]), kind)
        return views, stored
