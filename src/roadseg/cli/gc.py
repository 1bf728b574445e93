"""`roadseg gc`: make room."""

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from roadseg.registry.gc.item import Item


def gc(
    days: Annotated[int, typer.Option(min=1, help="What is younger stays, whatever reaches it.")] = 30,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it nothing is.")] = False,
) -> None:
    """Show what nothing needs any more in DVC's cache, MLflow and home, and delete it with --yes.

    Never deleted is what an alias, the ledger, a branch, a tag, the stash, an experiment, a work tree, or a run that
    goes on or is young reaches, the trainings whose weights those started from, what a lock that stands with such a run
    in MLflow names, and data that any commit names. A cache of DVC outside the repository is left alone, and so is an
    MLflow other than the one in home.

    A call that was stopped is finished by the next one.

    Examples: `roadseg gc`; `roadseg gc --days 90 --yes`
    """
    from rich.progress import track

    from roadseg.registry.gc.plan import delete, plan

    items = plan(Path.cwd(), days)
    if not items:
        print("nothing can go: all of it is reached or young")
        return
    Console().print(item_table(items))
    if not yes:
        print("nothing was deleted: `roadseg gc --yes` does it")
        return
    for _ in track(delete(items), "delete", len(items)):
        pass
    print(f"{len(items)} things deleted")


def item_table(items: "list[Item]") -> Table:
    """How many and how much of each kind, as people read it."""
    table = Table("what", title="can go", title_justify="left")
    table.add_column("how many", justify="right")
    table.add_column("MiB", justify="right")
    for kind, found in groupby(sorted(items, key=lambda item: item.kind), key=lambda item: item.kind):
        listed = list(found)
        table.add_row(kind, str(len(listed)), _mib(listed))
    table.add_section()
    table.add_row("all", str(len(items)), _mib(items))
    return table


def _mib(items: "list[Item]") -> str:
    return f"{sum(item.size for item in items) / (1 << 20):.1f}"
