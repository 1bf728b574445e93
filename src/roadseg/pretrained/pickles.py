"""The part of pickle's language in which PyTorch writes tensors by their names; what else a pickle can say is refused.

Nothing is called and nothing is hashed but texts and numbers: what a pickle makes are the values below, a storage and
a tensor. Python's own unpickler is not used: one of its operations changes any object that was made before, another
hashes what recurses until Python crashes.

Source: pickletools of Python, torch/serialization.py of PyTorch 2.
"""

import io
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

OPERATIONS = 1 << 16  # of a pickle; a tensor takes some forty
WIDEST = 16  # values of a tuple; a tensor's arguments are six, its axes a few
KINDS = {"Double": "<f8", "Float": "<f4", "Half": "<f2", "Long": "<i8", "Int": "<i4", "Short": "<i2", "Char": "|i1"}
KINDS |= {"Byte": "|u1"}
ORDERED, TENSOR = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
STORAGES = {f"torch {name}Storage": kind for name, kind in KINDS.items()}
PLAIN = {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Refused(Exception):
    """What is wrong with a file."""


def refuse(said: str) -> NoReturn:
    """End the reading.

    Raises:
        Refused: always.
    """
    raise Refused(said)


class Storage(NamedTuple):
    """Values that stand elsewhere in the file: their key, numpy's name of their type, and how many they are."""

    key: str
    kind: str
    length: int


class View(NamedTuple):
    """A tensor as it is written: a storage, its first value there, and length and step of each axis, in values."""

    storage: Storage
    place: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]


class _Name(str):
    """One of the names that are known, which no text in the pickle equals by type."""

    __slots__ = ()


def carry_out(stream: io.BytesIO) -> Any:
    """Read the next pickle of a stream, which then stands behind it.

    Returns:
        Numbers, texts, lists, dictionaries by texts, and `View`.

    Raises:
        Refused: it says something else.
        ValueError, KeyError, IndexError: it is damaged.
    """
    reader = _Reader()
    for number, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        if number == OPERATIONS:
            refuse(f"it has over {OPERATIONS} operations")
        reader.take(operation.name, argument)
    return reader.values.pop()


class _Reader:
    """The machine that a pickle is a program for: values, those before each open mark, and those to be had again."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._before: list[list[Any]] = []
        self._kept: dict[int, Any] = {}

    def take(self, name: str, argument: Any) -> None:
        """Do one operation."""
        if name in PLAIN:
            self.values.append(argument)
        elif name in CONSTANTS:
            self.values.append(CONSTANTS[name])
        elif name in ("EMPTY_DICT", "EMPTY_LIST"):
            self.values.append({} if name == "EMPTY_DICT" else [])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._kept[argument] = self.values[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.values.append(self._kept[argument])
        elif name in TUPLES:
            self.values.append(_flat([self.values.pop() for _ in range(TUPLES[name])][::-1]))
        elif name in OTHERS:
            OTHERS[name](self, argument)
        elif name not in ("PROTO", "STOP"):
            refuse(f"it has the operation {name}, and tensors need none such")

    def _mark(self, _: object) -> None:
        self._before.append(self.values)
        self.values = []

    def _since_mark(self) -> list[Any]:
        found, self.values = self.values, self._before.pop()
        return found

    def _tuple(self, _: object) -> None:
        found = _flat(self._since_mark())
        self.values.append(found)

    def _name(self, argument: str) -> None:
        if argument not in (ORDERED, TENSOR, *STORAGES):
            refuse(f"it names {argument.replace(' ', '.')}, and tensors alone are read")
        self.values.append(_Name(argument))

    def _storage(self, _: object) -> None:
        self.values.append(_storage(self.values.pop()))

    def _made(self, _: object) -> None:
        arguments, name = self.values.pop(), self.values.pop()
        if type(name) is not _Name or type(arguments) is not tuple or name in STORAGES:
            refuse("it calls something else than what makes a tensor")
        self.values.append(_view(arguments) if name == TENSOR else _ordered(arguments))

    def _state(self, _: object) -> None:
        """Drop an OrderedDict's attributes, in which PyTorch notes versions."""
        if type(self.values.pop()) is not dict or type(self.values[-1]) is not dict:
            refuse("it changes something else than what holds the tensors")

    def _append(self, found: list[Any]) -> None:
        if type(self.values[-1]) is not list:
            refuse("it adds to what is no list")
        self.values[-1].extend(found)

    def _set(self, found: list[Any]) -> None:
        if type(self.values[-1]) is not dict or len(found) % 2 or any(type(key) is not str for key in found[::2]):
            refuse("it puts something under what is no name")
        self.values[-1].update(zip(found[::2], found[1::2], strict=True))

    def _last(self, count: int) -> list[Any]:
        return [self.values.pop() for _ in range(count)][::-1]


OTHERS: dict[str, Callable[[_Reader, Any], None]] = {
    "MARK": _Reader._mark,
    "TUPLE": _Reader._tuple,
    "GLOBAL": _Reader._name,
    "BINPERSID": _Reader._storage,
    "REDUCE": _Reader._made,
    "BUILD": _Reader._state,
    "APPEND": lambda reader, _: reader._append(reader._last(1)),
    "APPENDS": lambda reader, _: reader._append(reader._since_mark()),
    "SETITEM": lambda reader, _: reader._set(reader._last(2)),
    "SETITEMS": lambda reader, _: reader._set(reader._since_mark()),
}


def _flat(found: list[Any]) -> tuple[Any, ...]:
    """A tuple; of tuples it holds none but of whole numbers, so that nothing is ever deep."""
    inner = (each for each in found if type(each) is tuple)
    if len(found) > WIDEST or not all(type(number) is int for each in inner for number in each):
        refuse("a tuple in it is wider or deeper than a tensor's")
    return tuple(found)


def _storage(known: Any) -> Storage:
    if type(known) is not tuple or len(known) < 5 or known[0] != "storage" or type(known[1]) is not _Name:
        refuse("it refers to something else than a storage")
    _, name, key, _, count, *more = known
    if name not in STORAGES or type(key) is not str or type(count) is not int or more not in ([], [None]):
        refuse("a storage has no proper key or size, or is a part of another")
    return Storage(key, STORAGES[name], count)


def _ordered(arguments: tuple[Any, ...]) -> dict[str, Any]:
    if arguments:
        refuse("an OrderedDict is made of something")
    return {}


def _view(arguments: tuple[Any, ...]) -> View:
    storage, place, shape, steps, *_ = arguments
    if type(storage) is not Storage or type(shape) is not tuple or type(steps) is not tuple:
        refuse("a tensor is made of something else than a storage")
    if not all(type(each) is int and each >= 0 for each in (place, *shape, *steps)) or len(shape) != len(steps):
        refuse("a tensor has no proper shape")
    return View(storage, place, shape, steps)
