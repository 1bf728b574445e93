"""`roadseg params`: what every parameter means."""

from rich.console import Console
from rich.table import Table

from roadseg.contracts import paths
from roadseg.contracts.params import read_params
from roadseg.pipeline.runner import SECTIONS


def working_size() -> tuple[int, int]:
    """Height and width at which models are trained, from params.yaml.

    Raises:
        UsageError: params.yaml is missing or wrong.
    """
    values = read_params(SECTIONS)["preprocess"].model_dump()
    return values["height"], values["width"]


def params() -> None:
    """Check params.yaml and explain every key.

    Example: `roadseg params`
    """
    values = read_params(SECTIONS)
    table = Table("key", "value", "meaning", title=str(paths.PARAMS), title_justify="left")
    for name, section in SECTIONS.items():
        for key, field in section.model_fields.items():
            table.add_row(f"{name}.{key}", str(getattr(values[name], key)), field.description)
    Console().print(table)
