"""Files of PyTorch are read without it, and give tensors or nothing: what else they name is never called."""

import os
import pickle
import pickletools
import struct
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
from roadseg.pretrained.pickles import CONSTANTS, OPERATIONS, OTHERS, PLAIN, TUPLES
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


def file(content: bytes) -> Callable[[Path], object]:
    """Writes a file whose tensors are these operations."""
    return lambda path: path.write_bytes(row(b"\x80\x02" + content + b"."))


def text(content: str) -> bytes:
    return b"X" + struct.pack("<I", len(content)) + content.encode()


VALUES, MANY = Stored("1", np.arange(4, dtype="<f4")), Stored("1", np.zeros(1000, "<f4"))
STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x04tQ"
MADE = b"ctorch._utils\n_rebuild_tensor_v2\n("
TENSOR = MADE + STORAGE + b"K\x00K\x04\x85K\x01\x85tR"
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (lambda path: None, "FileNotFoundError"),
    "empty": (lambda path: path.write_bytes(b""), "EOFError|no file of tensors"),
    "text": (lambda path: path.write_text("weights"), "no file of tensors"),
    "other pickle": (lambda path: path.write_bytes(pickle.dumps({"a": 1})), "has the operation FRAME"),
    "other numbers": (lambda path: path.write_bytes(pickled(1) + pickled(2)), "does not begin as PyTorch's"),
    "list": (lambda path: path.write_bytes(row(pickled([1]))), "holds a list"),
    "number": (lambda path: as_zip(path, {"a": 3}), "a is a int, not a tensor"),
    "nested": (lambda path: as_zip(path, {"a": {"b": 3}}), "a is a dict, not a tensor"),
    "beyond": (lambda path: as_zip(path, {"a": Tensor(VALUES, 2, (3,), (1,))}), "larger than what is stored"),
    "spread": (lambda path: as_pickles(path, {"a": Tensor(VALUES, 0, (10**9,), (0,))}), "more bytes than the file"),
    "again and again": (
        lambda path: as_zip(path, {str(each): Tensor(MANY, 0, (1000,), (1,)) for each in range(40)}),
        "more bytes than the file",
    ),
    "negative": (lambda path: as_zip(path, {"a": Tensor(VALUES, 3, (2,), (-1,))}), "no proper shape"),
    "changed tensor": (
        file(b"}" + text("a") + TENSOR + b"N}" + text("_shape") + b"K\x40\x85s\x86bs"),
        "changes something else than what holds the tensors",
    ),
    "changed name": (file(b"ccollections\nOrderedDict\n}b"), "changes something else than what holds the tensors"),
    "state of a list": (file(b"}]b"), "changes something else than what holds the tensors"),
    "deep key": (file(b"})" + b"\x85" * 1_000_000 + b"K\x01s"), "wider or deeper than a tensor's"),
    "doubled key": (file(b"})" + b"q\x00h\x00\x86" * 100 + b"K\x01s"), "wider or deeper than a tensor's"),
    "deep dictionaries": (file((b"}" + text("a")) * 5_000 + b"}" + b"s" * 5_000), "a is a dict, not a tensor"),
    "within itself": (file(b"}q\x00" + text("a") + b"h\x00s"), "a is a dict, not a tensor"),
    "wide": (file(b"(" + b"K\x01" * 17 + b"t"), "wider or deeper than a tensor's"),
    "many operations": (file(b"K\x01" * OPERATIONS), f"over {OPERATIONS} operations"),
    "marks": (file(b"(" * 10_000), "IndexError"),
    "number for a name": (file(b"}K\x01K\x01s"), "under what is no name"),
    "name without a value": (file(b"}(" + text("a") + b"u"), "under what is no name"),
    "set in a list": (file(b"]" + text("a") + b"K\x01s"), "under what is no name"),
    "set in a tensor": (file(TENSOR + text("a") + b"K\x01s"), "under what is no name"),
    "added to a dictionary": (file(b"}K\x01a"), "adds to what is no list"),
    "text that is called": (file(text("torch._utils _rebuild_tensor_v2") + b")R"), "calls something else"),
    "storage that is called": (file(b"ctorch\nFloatStorage\n)R"), "calls something else"),
    "tensor that is called": (file(TENSOR + b")R"), "calls something else"),
    "called with no tuple": (file(b"ctorch._utils\n_rebuild_tensor_v2\nK\x01R"), "calls something else"),
    "dictionary of something": (file(b"ccollections\nOrderedDict\n]\x85R"), "OrderedDict is made of something"),
    "tensor of nothing": (file(b"ctorch._utils\n_rebuild_tensor_v2\n)R"), "ValueError"),
    "tensor of a tuple": (file(MADE + b")K\x00))tR"), "something else than a storage"),
    "huge axis": (file(MADE + STORAGE + b"K\x00\x8a\xff" + b"\x7f" * 255 + b"\x85K\x01\x85tR"), "holds a View"),
    "true axis": (file(MADE + STORAGE + b"K\x00\x88\x85K\x01\x85tR"), "wider or deeper"),
    "less than nothing": (file(MADE + STORAGE + b"J\xff\xff\xff\xffK\x04\x85K\x01\x85tR"), "no proper shape"),
    "axis without a step": (file(MADE + STORAGE + b"K\x00K\x04\x85)tR"), "no proper shape"),
    "reference to a number": (file(b"K\x01Q"), "refers to something else than a storage"),
    "reference to a text": (file(b"(" + text("storage") * 5 + b"tQ"), "refers to something else than a storage"),
    "part of a storage": (file(STORAGE.replace(b"tQ", b"K\x01tQ")), "is a part of another"),
    "what was not kept": (file(b"h\x07"), "KeyError"),
    "far away": (file(b"}r\xff\xff\xff\x7f"), "no file of tensors"),
    "longer than the file": (file(b"\x8e" + b"\xff" * 7 + b"\x7f"), "no file of tensors"),
    "text longer than the file": (file(b"X\xff\xff\xff\xff"), "no file of tensors"),
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


KNOWN = {*PLAIN, *CONSTANTS, *TUPLES, *OTHERS, "PROTO", "STOP", "EMPTY_DICT", "EMPTY_LIST"}
KNOWN |= {"BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"}
LINES = {"stringnl": b"''\n", "stringnl_noescape_pair": b"a\nb\n"}


@pytest.mark.parametrize(
    "operation", [each for each in pickletools.opcodes if each.name not in KNOWN], ids=lambda each: each.name
)
def test_an_operation_that_no_tensor_needs_ends_the_reading(operation: pickletools.OpcodeInfo, tmp_path: Path) -> None:
    size = operation.arg.n if operation.arg else 0
    argument = LINES.get(operation.arg.name, b"0\n") if operation.arg and size == -1 else bytes(size if size > 0 else 8)
    path = tmp_path / "a.pth"
    file(b"}" + operation.code.encode("latin-1") + argument)(path)
    with pytest.raises(DataRefused, match=f"it has the operation {operation.name}, and tensors need none such"):
        read_tensors(path)


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
