"""`roadseg params`: what every parameter means."""

from rich.console import Console
from rich.table import Table

from roadseg.contracts.params import read_params


def working_size() -> tuple[int, int]:
    """Height and width at which models are trained, from params.yaml.

    Raises:
        UsageError: params.yaml is missing or wrong.
    """
    from roadseg.cli.stages import STAGES

    values = read_params({name: section for name, (_, section) in STAGES.items()})["preprocess"].model_dump()
    return values["height"], values["width"]


def params() -> None:
    """Check params.yaml and explain every key.

    Example: `roadseg params`
    """
    from roadseg.cli.stages import STAGES

    sections = {name: section for name, (_, section) in STAGES.items()}
    values = read_params(sections)
    table = Table("key", "value", "meaning", title="params.yaml", title_justify="left")
    for name, section in sections.items():
        for key, field in section.model_fields.items():
            table.add_row(f"{name}.{key}", str(getattr(values[name], key)), field.description)
    Console().print(table)
