"""The class table: which ids there are, what they are called and how they look."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import digest_of, replacing

VOID = 255
Byte = Annotated[int, Field(ge=0, le=255)]
Color = tuple[Byte, Byte, Byte]


class ClassEntry(BaseModel):
    """One class; `values` and `labels` say how label files write it, by default its id and its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Byte
    name: str = Field(pattern=r"^[A-Za-z0-9 _-]+$", description="MLflow refuses other characters in metric names")
    color: Color = (128, 128, 128)
    protected: bool = Field(default=False, description="a promotion may not make it worse")
    group: str = ""
    values: tuple[Byte, ...] = Field(min_length=1, description="what masks of one channel store for it")
    labels: tuple[str, ...] = Field(description="what polygon files call it")

    @model_validator(mode="before")
    @classmethod
    def _as_named(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "id" not in given or "name" not in given:
            return given
        return {"values": (given["id"],), "labels": (given["name"],)} | given


class ClassTable(BaseModel):
    """Classes 0..K-1 and what is void; travels inside scan, manifest, shards and bundle.

    Tables are equal where their `identity` is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: Literal["id", "color"] = Field(default="id", description="what the pixels of a mask hold")
    void: tuple[Byte, ...] = (VOID,)
    void_labels: tuple[str, ...] = ()
    void_colors: tuple[Color, ...] = ()
    classes: tuple[ClassEntry, ...] = Field(min_length=1, max_length=200)

    @field_validator("void", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        listed = value if isinstance(value, list | tuple) else [value]
        return tuple(dict.fromkeys([*listed, VOID]))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ids, names = [entry.id for entry in self.classes], self.names
        if ids != list(range(len(ids))):
            raise ValueError(
                f"class ids must be 0, 1, 2, ... in order, found {ids}; what masks store goes into `values: [...]`"
            )
        if len(set(names)) != len(names):
            raise ValueError("two classes have the same name")
        values = [value for entry in self.classes for value in entry.values]
        # a 255 that a class claims is its own, not void: how 0/255 masks are read
        if clash := sorted(set(self.void) & set(values) - {VOID}):
            raise ValueError(f"void ids {clash} are classes too")
        _refuse_shared("value", values)
        _refuse_shared("label", [*self.void_labels, *(label for entry in self.classes for label in entry.labels)])
        if self.source == "color":
            _refuse_colourless(self.classes)
            _refuse_shared("color", [*self.void_colors, *(entry.color for entry in self.classes)])
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a table in YAML.

        Raises:
            UsageError: names the file and each fault.
        """
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise UsageError(f"{path} is missing: `roadseg data import` writes it") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} is not valid YAML: {error}") from None
        except ValidationError as error:
            faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            raise UsageError(f"{path}: " + "; ".join(faults)) from None

    @classmethod
    def find(cls, name: str) -> Self:
        """A built-in table by name, or a file by path.

        Raises:
            UsageError: neither exists; lists the built-in names.
        """
        if name in built_in():
            return cls.read(Path(str(resources.files("roadseg.contracts") / "tables" / f"{name}.yaml")))
        if Path(name).suffix in {".yaml", ".yml"}:
            if not Path(name).exists():
                raise UsageError(f"{name}: no such class table")
            return cls.read(Path(name))
        raise UsageError(f"no class table {name!r}: give a .yaml file or one of {', '.join(built_in())}")

    def write(self, path: Path) -> None:
        """Write the table as YAML that `read` takes, atomically."""
        with replacing(path) as temporary:
            temporary.write_text(yaml.safe_dump(self.content, sort_keys=False, default_flow_style=None), "utf-8")

    @property
    def content(self) -> dict[str, Any]:
        """Plain values of everything, for JSON and YAML."""
        return self.model_dump(mode="json")

    @property
    def identity(self) -> dict[str, Any]:
        """Of the content what decides which id a pixel has and what it means.

        Colours paint, unless masks hold them; `protected` and `group` judge scores.
        """
        judging = {"protected", "group"}
        if self.source == "color":
            return self.model_dump(mode="json", exclude={"classes": {"__all__": judging}})
        return self.model_dump(mode="json", exclude={"void_colors": True, "classes": {"__all__": judging | {"color"}}})

    @property
    def digest(self) -> str:
        """Sha256 of the identity, hex."""
        return digest_of(self.identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClassTable) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def count(self) -> int:
        """K, void not among them."""
        return len(self.classes)

    @property
    def names(self) -> list[str]:
        """Class names in the order of their ids."""
        return [entry.name for entry in self.classes]

    @cached_property
    def id_of_value(self) -> np.ndarray:
        """Int16 (256,): class id by stored value, `VOID` for void, -1 for what the table does not know."""
        ids = np.full(256, -1, np.int16)
        ids[list(self.void)] = VOID
        for entry in self.classes:
            ids[list(entry.values)] = entry.id
        return ids

    @cached_property
    def id_of_label(self) -> dict[str, int]:
        """Class id by a polygon's label, `VOID` for void labels."""
        return {label: entry.id for entry in self.classes for label in entry.labels} | dict.fromkeys(
            self.void_labels, VOID
        )

    @cached_property
    def id_of_color(self) -> dict[int, int]:
        """Class id by packed colour 0xRRGGBB, `VOID` for void colours."""
        ids = [(entry.color, entry.id) for entry in self.classes] + [(color, VOID) for color in self.void_colors]
        return {(red << 16) + (green << 8) + blue: number for (red, green, blue), number in ids}

    def written(self, stored: int) -> str:
        """What a mask stores, as people write it: `9`, or `#8040ff` in a mask of colours."""
        return f"#{stored:06x}" if self.source == "color" else str(stored)

    @cached_property
    def palette(self) -> np.ndarray:
        """uint8 (256, 3): RGB by id, black from K upward."""
        colors = np.zeros((256, 3), np.uint8)
        colors[: self.count] = [entry.color for entry in self.classes]
        return colors


def _refuse_shared(what: str, listed: Sequence[object]) -> None:
    if shared := [item for item, times in Counter(listed).items() if times > 1]:
        raise ValueError(f"{what} {shared[0]} is given twice: which of the two is meant?")


def _refuse_colourless(entries: Sequence[ClassEntry]) -> None:
    """Else masks would be read by the grey that stands in for a missing colour."""
    if bare := [entry.name for entry in entries if "color" not in entry.model_fields_set]:
        raise ValueError(f"`source: color` finds classes by their colour: give `color: [r, g, b]` to {', '.join(bare)}")


def built_in() -> list[str]:
    """Names of the tables that come with roadseg."""
    folder = resources.files("roadseg.contracts") / "tables"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
