"""All that is looked at, in the order in which people read it."""

from collections.abc import Mapping
from pathlib import Path

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.contracts.params import Section, read_params
from roadseg.doctor.finding import Finding
from roadseg.doctor.machine import choices, devices, machine
from roadseg.doctor.model import model_state
from roadseg.doctor.services import services
from roadseg.doctor.software import software
from roadseg.doctor.tree import tree_state


def examine(tree: Path, sections: Mapping[str, type[Section]], backend: bool) -> list[Finding]:
    """Look at this machine and a checkout.

    Args:
        tree: the checkout.
        sections: the model of every section of its params.yaml, by name.
        backend: load Keras' backend too and ask it for its devices.
    """
    threads, params = _params(tree / paths.PARAMS, sections)
    asked = [devices()] if backend else []
    return [
        *software(),
        *machine(),
        *asked,
        params,
        *tree_state(tree),
        model_state(tree),
        *services(),
        *choices(threads),
    ]


def _params(path: Path, sections: Mapping[str, type[Section]]) -> tuple[int | None, Finding]:
    try:
        train = read_params(sections, path)["train"]
    except UsageError as error:
        return None, Finding("tree", "params", "wrong", str(error), stops=True)
    return train.model_dump()["threads"], Finding("tree", "params", "every key is there and fits")
