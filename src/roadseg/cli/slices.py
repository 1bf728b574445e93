"""`roadseg slice`: where the model fails, from what evaluate stored."""

import json as json_module
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from roadseg.contracts import paths
from roadseg.contracts.files import finite

if TYPE_CHECKING:
    from roadseg.scoring.slices import Slice

MAX_SHOWN = 10


def slice_(
    by: Annotated[
        str | None, typer.Argument(help="drive, brightness, sharpness, class or size; left out, the worst of all.")
    ] = None,
    worst: Annotated[int | None, typer.Option(min=1, help="Show the N worst only.", metavar="N")] = None,
    parts: Annotated[int, typer.Option(min=2, help="Quantiles of brightness, sharpness and size.")] = 4,
    least: Annotated[int, typer.Option(min=1, help="Images a slice needs to count among the worst.")] = 3,
    evaluation: Annotated[Path, typer.Option(help="The folder that evaluate wrote.")] = paths.EVALUATION,
    json: Annotated[bool, typer.Option("--json", help="One JSON array instead of a table.")] = False,
) -> None:
    """Score parts of the val split from the stored counts, the worst first; nothing is predicted again.

    `below` is how far a slice lies below all images over the classes that occur in it; `size` is a class's share of
    the image.

    Examples: `roadseg slice`; `roadseg slice drive`; `roadseg slice size --worst 5 --json`
    """
    from roadseg.contracts.evaluation import read_evaluation
    from roadseg.scoring.slices import slices, worst_slices

    stored = read_evaluation(evaluation)
    if by is None:
        found = worst_slices(stored, worst or MAX_SHOWN, least=least, quantiles=parts)
    else:
        found = slices(stored, by, parts)
        if worst is not None:
            found = [each for each in found if each.images >= least][:worst]
    if json:
        print(json_module.dumps(finite([asdict(each) for each in found])))
        return
    Console().print(slice_table(found))


def slice_table(found: "list[Slice]") -> Table:
    """Slices with their support, as people read them."""
    table = Table("by")
    table.add_column("slice", overflow="fold", min_width=24)
    for name in ("images", "drives", "mIoU", "below", "IoU of the class"):
        table.add_column(name)
    for each in found:
        about = "" if each.iou is None else f"{each.iou:.3f}"
        table.add_row(
            each.by, each.name, str(each.images), str(each.drives), f"{each.miou:.3f}", f"{each.below:+.3f}", about
        )
    return table
