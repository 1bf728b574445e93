"""`roadseg data`: bring data in, or make some."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Bring data in, or make some.", no_args_is_help=True)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="Archive (.tar.gz, .tgz, .tar, .zip) or folder.")],
    classes: Annotated[
        str, typer.Option(help="Class table: idd-level1, idd-level2, idd-level3, road, or a .yaml file.")
    ] = "idd-level1",
) -> None:
    """Put a data set at data/raw in its own layout and give it to DVC.

    What stood there before is committed to DVC's cache first; a broken archive changes nothing.

    Example: `roadseg data import idd20k_lite.tar.gz`, then `dvc repro`
    """
    from roadseg.contracts.classes import ClassTable
    from roadseg.intake.install import install

    table = ClassTable.find(classes)
    layout = install(Path.cwd(), source, table)
    print(f"data/raw holds {source.name} (layout {layout}, classes {table.name}); next: dvc repro")


@app.command()
def synthetic(
    destination: Annotated[Path, typer.Argument(help="Folder to make; must not exist or be empty.")],
    train: Annotated[int, typer.Option(min=1, help="Training images.")] = 128,
    val: Annotated[int, typer.Option(min=1, help="Validation images.")] = 32,
    test: Annotated[int, typer.Option(min=0, help="Test images, without masks.")] = 8,
    seed: Annotated[int, typer.Option(min=0, help="Equal seeds give equal files.")] = 0,
) -> None:
    """Generate road scenes with masks in the layout of IDD Lite.

    Example: `roadseg data synthetic scenes --train 64 --val 16`, then `roadseg data import scenes`
    """
    from rich.progress import Progress

    from roadseg.contracts.errors import UsageError
    from roadseg.intake.synthetic import generate

    with Progress() as progress:
        task = progress.add_task("scenes", total=train + val + test)
        try:
            generate(destination, train=train, val=val, test=test, seed=seed, progress=lambda: progress.advance(task))
        except ValueError as error:
            raise UsageError(str(error)) from None
    print(f"{train} training, {val} validation and {test} test scenes in {destination}")
