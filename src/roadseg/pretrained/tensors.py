"""Tensors from a file that PyTorch wrote, without PyTorch: a pickle of which tensors are read and nothing else.

Both formats: the zip archive of today, and the row of pickles of before 2020. A pickle may name any function and have
it called; here it gets three that only describe arrays, and the first other name ends the reading.

Source: torch/serialization.py of PyTorch 2.
"""

import io
import pickle
import pickletools
import zipfile
from math import prod
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from roadseg.contracts.errors import DataRefused

LARGEST = 1 << 30  # bytes of a file; ConvNeXt-Tiny has 110 MB
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
TYPES = {"Double": "<f8", "Float": "<f4", "Half": "<f2", "Long": "<i8", "Int": "<i4", "Short": "<i2", "Char": "|i1"}
TYPES |= {"Byte": "|u1"}
FAULTS = (
    *(pickle.UnpicklingError, AttributeError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError),
    *(zipfile.BadZipFile, OSError, RuntimeError, MemoryError),
)
Storage = tuple[str, np.dtype[Any], int]  # key, type and number of values


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
            _refuse(f"it has over {LARGEST} bytes")
        content = path.read_bytes()
        found = _of_zip(content) if zipfile.is_zipfile(io.BytesIO(content)) else _of_pickles(content)
        return {name: each.read() for name, each in _tensors(found).items()}
    except _Refused as error:
        said = str(error)
    except FAULTS as error:
        said = f"it is no file of tensors that can be read ({type(error).__name__}: {error})"
    raise DataRefused(f"{path} is refused: {' '.join(said.split())[:300]}; give the file as it is published")


class _Refused(Exception):
    """What is wrong with a file."""


def _refuse(said: str) -> NoReturn:
    raise _Refused(said)


class _Values(dict[str, np.ndarray]):
    """Values of storages by key, filled after the pickle that names them."""


class _Tensor:
    """A view of a storage, whose values may be read later."""

    __slots__ = ("_place", "_shape", "_steps", "_storage", "_values")

    def __init__(self, values: _Values, storage: Storage, place: int, shape: Any, steps: Any) -> None:
        numbers = (place, *shape, *steps)
        if not all(type(each) is int and each >= 0 for each in numbers) or len(shape) != len(steps):
            _refuse("a tensor has no proper shape")
        last = place + sum((size - 1) * step for size, step in zip(shape, steps, strict=True))
        if prod(shape) > storage[2] - place or (prod(shape) and last >= storage[2]):
            _refuse(f"a tensor of shape {tuple(shape)} is larger than what is stored for it")
        self._values, self._storage, self._place, self._shape, self._steps = values, storage, place, shape, steps

    def read(self) -> np.ndarray:
        """A copy of it."""
        key, kind, count = self._storage
        stored = self._values[key]
        if len(stored) != count or stored.dtype != kind:
            _refuse(f"storage {key} has {len(stored)} values, not {count}")
        steps = [step * kind.itemsize for step in self._steps]
        return np.lib.stride_tricks.as_strided(stored[self._place :], self._shape, steps, writeable=False).copy()


class _Ordered(dict[str, Any]):
    """Stands for OrderedDict, whose attributes are dropped."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        """Forget what PyTorch notes of versions."""


class _MakeOrdered:
    """What a pickle calls for an OrderedDict; no class, which it could call with more."""

    __slots__ = ()

    def __call__(self) -> _Ordered:
        return _Ordered()


class _MakeTensor:
    """What a pickle calls for a tensor."""

    __slots__ = ("_values",)

    def __init__(self, values: _Values) -> None:
        self._values = values

    def __call__(self, storage: Any, place: Any, shape: Any, steps: Any, *_: Any) -> _Tensor:
        if type(storage) is not tuple or len(storage) != 3 or type(shape) is not tuple or type(steps) is not tuple:
            _refuse("a tensor is made of something else than a storage")
        return _Tensor(self._values, storage, place, shape, steps)


class _Unpickler(pickle.Unpickler):
    """Knows tensors, their storages and OrderedDict."""

    def __init__(self, stream: io.BytesIO, values: _Values) -> None:
        super().__init__(stream)
        self._known = {
            ("collections", "OrderedDict"): _MakeOrdered(),
            ("torch._utils", "_rebuild_tensor_v2"): _MakeTensor(values),
            **{("torch", f"{name}Storage"): kind for name, kind in TYPES.items()},
        }

    def find_class(self, module: str, name: str) -> Any:
        """What a name stands for."""
        if (module, name) not in self._known:
            _refuse(f"it names {module}.{name}, and tensors alone are read")
        return self._known[module, name]

    def persistent_load(self, known: Any) -> Storage:
        """A storage: its key, type and number of values."""
        if type(known) is not tuple or len(known) < 5 or known[0] != "storage" or known[1] not in TYPES.values():
            _refuse("it refers to something else than a storage")
        _, kind, key, _, count = known[:5]
        if type(key) is not str or type(count) is not int or any(each is not None for each in known[5:]):
            _refuse("a storage has no proper key or size, or is a part of another")
        return key, np.dtype(kind), count


def _load(stream: io.BytesIO, values: _Values) -> Any:
    """The next pickle of a stream, after a look at its operations."""
    start = stream.tell()
    for number, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        if "PUT" in operation.name and int(argument or 0) > number:
            _refuse("it asks for memory that it does not use")  # Python makes room for every number up to this one
    stream.seek(start)
    return _Unpickler(stream, values).load()


def _tensors(found: Any) -> dict[str, _Tensor]:
    if not isinstance(found, dict):
        _refuse(f"it holds a {type(found).__name__}, not tensors by their names")
    for name, each in found.items():
        if type(name) is not str or type(each) is not _Tensor:
            _refuse(f"{str(name)[:80]} is a {type(each).__name__}, not a tensor")
    return found


def _of_pickles(content: bytes) -> Any:
    """Magic number, protocol, sizes, tensors, keys of the storages, then those one after another."""
    stream, values = io.BytesIO(content), _Values()
    if _load(stream, values) != MAGIC or _load(stream, values) != PROTOCOL:
        _refuse("it does not begin as PyTorch's files do")
    _load(stream, values)  # sizes of C's types where it was written
    found = _load(stream, values)
    kinds = {each._storage[0]: each._storage[1] for each in _tensors(found).values()}
    for key in _load(stream, values):
        if key not in kinds:
            _refuse("it stores what no tensor has")
        length, kind = int.from_bytes(stream.read(8), "little"), kinds[key]
        if length * kind.itemsize > len(content) - stream.tell():
            _refuse("it ends within its values")
        values[key] = np.frombuffer(content, kind, length, stream.tell())
        stream.seek(length * kind.itemsize, io.SEEK_CUR)
    return found


def _of_zip(content: bytes) -> Any:
    """A folder with `data.pkl`, and each storage's values in a file of `data/`."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {member.filename.partition("/")[2]: member for member in archive.infolist()}
        if len(members) != len(archive.infolist()) or "data.pkl" not in members:
            _refuse("it holds no data.pkl, or two files of one name")
        if any(member.compress_type or member.file_size > len(content) for member in members.values()):
            _refuse("a part of it is compressed")
        if sum(member.file_size for member in members.values()) > len(content):
            _refuse("its parts have more bytes than the file")
        if "byteorder" in members and archive.read(members["byteorder"]) != b"little":
            _refuse("its values are not stored with the least byte first")
        values = _Values()
        found = _load(io.BytesIO(archive.read(members["data.pkl"])), values)
        for each in _tensors(found).values():
            key, kind, _ = each._storage
            if key not in values:
                values[key] = np.frombuffer(archive.read(members[f"data/{key}"]), kind)
        return found
