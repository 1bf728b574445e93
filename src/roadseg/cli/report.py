"""`roadseg report`: pages about what the graph has made."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from roadseg.contracts.files import home

app = typer.Typer(help="Make pages about what the graph has made.", no_args_is_help=True)

DATA_PAGE = Path("reports/data.html")


@app.command()
def data(
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = DATA_PAGE,
) -> None:
    """Write one HTML file about the data: verdict, failing samples, classes, drives, what changed.

    It works offline. Every validate makes it too, also one that refuses the data.

    Example: `roadseg report data`, `roadseg report data --out data.html`
    """
    from roadseg.pages.data_page import write_data_page

    write_data_page(Path.cwd(), out)
    print(out)


def after_validate(refused: bool) -> None:
    """Leave the page beside the verdict, and a refusal's in MLflow too; a failure is a line, never an error."""
    try:
        from roadseg.pages.data_page import write_data_page  # late: only one stage needs it

        write_data_page(Path.cwd(), DATA_PAGE)
        print(f"page: {DATA_PAGE}")
        if refused and os.environ.get("ROADSEG_FOLLOW") != "off":
            _tell_mlflow()
    except Exception as error:  # a page is a view: the verdict stands without it
        print(f"warning: no page: {type(error).__name__}: {error}", file=sys.stderr)


def _tell_mlflow() -> None:
    from roadseg.tracking.beside import send_refusal

    if link := send_refusal(Path.cwd(), home()):
        print(f"page in MLflow: {link}")
    else:
        print(f"warning: MLflow did not take the page, see {home() / 'refusal.log'}", file=sys.stderr)
