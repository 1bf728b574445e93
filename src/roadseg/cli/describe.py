"""`roadseg models describe`: what each model costs."""

import json as json_module
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from roadseg.cli.params import working_size
from roadseg.contracts.errors import UsageError

if TYPE_CHECKING:
    from roadseg.train.models.cost import Cost


def describe_models(
    name: Annotated[
        str | None, typer.Argument(help="A value of train.model; if left out, all without a pretrained encoder.")
    ] = None,
    height: Annotated[int | None, typer.Option(min=1, help="Pixels; preprocess.height if left out.")] = None,
    width: Annotated[int | None, typer.Option(min=1, help="Pixels; preprocess.width if left out.")] = None,
    classes: Annotated[int, typer.Option(min=1, help="Number of classes.")] = 7,
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Show what models that can be trained cost: parameters, multiply-adds and memory.

    Multiply-adds are of one image forward; FLOP are twice as many, and a training step takes three times that.

    Examples: `roadseg models describe`; `roadseg models describe small --height 128 --width 256 --json`
    """
    from roadseg.train.models.cost import cost  # late: it loads Keras
    from roadseg.train.models.known import MODELS

    if name is not None and name not in MODELS:
        raise UsageError(f"{name} is no model; there are {', '.join(MODELS)}")
    if height is None or width is None:
        whole = working_size()
        height, width = height or whole[0], width or whole[1]
    try:
        named = [name] if name else [each for each, known in MODELS.items() if known.encoder is None]
        costs = {each: cost(MODELS[each], classes, height, width) for each in named}
    except ValueError as error:
        raise UsageError(str(error)) from None
    if json:
        print(json_module.dumps({each: asdict(found) for each, found in costs.items()}, sort_keys=True))
        return
    Console().print(cost_table(costs, f"one image of {height}x{width} (height x width), float32, {classes} classes"))


def cost_table(costs: dict[str, "Cost"], title: str) -> Table:
    """What each model costs, as people read it."""
    columns = ("model", "parameters", "multiply-adds", "weights", "activations in training", "stride")
    table = Table(*columns, title=title, title_justify="left")
    for name, found in costs.items():
        weights, activations = (f"{count / 2**20:.1f} MiB" for count in (found.weight_bytes, found.activation_bytes))
        counts = f"{found.parameters / 1e6:.2f} M", f"{found.multiply_adds / 1e9:.2f} G"
        table.add_row(name, *counts, weights, activations, str(found.stride))
    return table
