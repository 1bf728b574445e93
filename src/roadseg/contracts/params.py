"""params.yaml: strict sections, read before any work and named in every fault."""

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError

DOTLESS = re.compile(r"[-+]?\d+e[-+]?\d+", re.IGNORECASE)  # YAML 1.1 reads it as text


class Section(BaseModel):
    """Base of a stage's parameters: frozen, no unknown keys, no silent conversion, no defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def read_params(sections: Mapping[str, type[Section]], path: Path = paths.PARAMS) -> dict[str, Section]:
    """Read and check the whole of params.yaml.

    Args:
        sections: the model of every section by name; all of them must be there and no other.
        path: the file.

    Raises:
        UsageError: one line per fault, each with the key's full path.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: run from the folder that holds dvc.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected sections ({', '.join(sections)}), found {type(content).__name__}")
    faults = [f"{path}: {name}: unknown section; there are {', '.join(sections)}" for name in content.keys() - sections]
    read = {}
    for name, model in sections.items():
        try:
            read[name] = model.model_validate(content.get(name, {}))
        except ValidationError as error:
            faults += [_fault(path, name, model, details) for details in error.errors()]
    if faults:
        raise UsageError("\n".join(faults))
    return read


def arguments(run: Callable[..., None], params: Mapping[str, Section]) -> dict[str, Section]:
    """The sections that the signature of `run` asks for, by name."""
    return {name: params[name] for name in inspect.signature(run).parameters}


def _fault(path: Path, section: str, model: type[Section], details: Any) -> str:
    key = ".".join(str(part) for part in (section, *details["loc"][:1]))  # what follows names a member of a union
    kind, value = details["type"], details["input"]
    if kind == "extra_forbidden":
        said = f"unknown key; there are {', '.join(model.model_fields)}"
    elif kind == "missing":
        field = model.model_fields.get(str(details["loc"][-1])) if details["loc"] else None
        said = "missing" + (f": {field.description}" if field and field.description else "")
    else:
        said = f"{details['msg']}, found {value!r}"
        if isinstance(value, str) and DOTLESS.fullmatch(value):
            said += " (YAML wants a dot in 1.0e-3)"
    return f"{path}: {key}: {said}"
