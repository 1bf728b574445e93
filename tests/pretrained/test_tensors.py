"""Files of PyTorch are read without it, and give tensors or nothing: what else they name is never called."""

import os
import pickle
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch_files import MAGIC, PROTOCOL, Stored, Tensor, as_pickles, as_zip, named, pickled

from roadseg.contracts.errors import DataRefused
from roadseg.pretrained.tensors import read_tensors

ARRAYS = {
    "stem.weight": np.arange(24, dtype="<f4").reshape(2, 3, 2, 2),
    "turned": np.arange(6, dtype="<f8").reshape(2, 3),
    "count": np.array(7, "<i8"),
}
each_format = pytest.mark.parametrize("write", [as_zip, as_pickles])
Write = Callable[[Path, Any], Path]


@each_format
def test_both_formats_give_the_arrays_that_were_written(write: Write, tmp_path: Path) -> None:
    found = read_tensors(write(tmp_path / "a.pth", named(ARRAYS)))
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@each_format
def test_tensors_may_be_parts_of_one_storage_in_any_order_of_axes(write: Write, tmp_path: Path) -> None:
    stored = Stored("1", np.arange(12, dtype="<f4"))
    content = {"turned": Tensor(stored, 0, (3, 2), (1, 3)), "end": Tensor(stored, 6, (6,), (1,))}
    found = read_tensors(write(tmp_path / "a.pth", content))
    np.testing.assert_array_equal(found["turned"], np.arange(6).reshape(2, 3).T)
    np.testing.assert_array_equal(found["end"], np.arange(6, 12))


class Calls:
    """What a pickle has called when it is loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.made = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.made


@each_format
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.mkdir, "posix.mkdir"),
        (eval, "__builtin__.eval"),
        (getattr, "__builtin__.getattr"),
        (np.dtype, "numpy.dtype"),
    ],
)
def test_anything_else_is_refused_by_its_name_and_not_called(
    write: Write, function: Any, name: str, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    path = write(tmp_path / "a.pth", {"a": Calls(function, str(made))})
    with pytest.raises(DataRefused, match=f"it names {name}, and tensors alone are read") as refused:
        read_tensors(path)
    assert str(refused.value).startswith(f"{path} is refused: ")
    assert not made.exists()


def row(content: bytes) -> bytes:
    return pickled(MAGIC) + pickled(PROTOCOL) + pickled({}) + content


VALUES = Stored("1", np.arange(4, dtype="<f4"))
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (lambda path: None, "FileNotFoundError"),
    "empty": (lambda path: path.write_bytes(b""), "EOFError|no file of tensors"),
    "text": (lambda path: path.write_text("weights"), "no file of tensors"),
    "other pickle": (lambda path: path.write_bytes(pickle.dumps({"a": 1})), "does not begin as PyTorch's"),
    "list": (lambda path: path.write_bytes(row(pickled([1]))), "holds a list"),
    "number": (lambda path: as_zip(path, {"a": 3}), "a is a int, not a tensor"),
    "nested": (lambda path: as_zip(path, {"a": {"b": 3}}), "a is a dict, not a tensor"),
    "beyond": (lambda path: as_zip(path, {"a": Tensor(VALUES, 2, (3,), (1,))}), "larger than what is stored"),
    "spread": (lambda path: as_pickles(path, {"a": Tensor(VALUES, 0, (10**9,), (0,))}), "larger than what is stored"),
    "negative": (lambda path: as_zip(path, {"a": Tensor(VALUES, 3, (2,), (-1,))}), "no proper shape"),
    "memory": (lambda path: path.write_bytes(row(b"\x80\x02}r\xff\xff\xff\x7f.")), "memory that it does not use"),
    "compressed": (lambda path: as_zip(path, named(ARRAYS), zipfile.ZIP_DEFLATED), "a part of it is compressed"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_one_line_and_little_memory(name: str, tmp_path: Path) -> None:
    path, (make, said) = tmp_path / "a.pth", BAD[name]
    make(path)
    tracemalloc.start()
    try:
        with pytest.raises(DataRefused, match=said) as refused:
            read_tensors(path)
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()
    assert "\n" not in str(refused.value)


@each_format
def test_a_file_that_is_cut_anywhere_is_refused(write: Write, tmp_path: Path) -> None:
    path = write(tmp_path / "a.pth", named(ARRAYS))
    content = path.read_bytes()
    for end in range(0, len(content), 31):
        path.write_bytes(content[:end])
        with pytest.raises(DataRefused):
            read_tensors(path)


def test_nothing_of_pytorch_or_keras_is_imported() -> None:
    heavy = "{'torch', 'keras', 'tensorflow'}"
    program = f"import sys, roadseg.pretrained.tensors; assert not {heavy} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
