"""`roadseg report`: pages about what the graph has made."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roadseg.contracts.errors import DONE, REFUSED, UsageError
from roadseg.contracts.files import home

if TYPE_CHECKING:
    from roadseg.pages.model_page import Other
    from roadseg.registry.champion import Champion

app = typer.Typer(help="Make pages about what the graph has made.", no_args_is_help=True)

DATA_PAGE, MODEL_PAGE, SEARCH_PAGE = (Path(f"reports/{name}.html") for name in ("data", "model", "search"))


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


@app.command()
def model(
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = MODEL_PAGE,
    against: Annotated[
        str, typer.Option(help="What to compare with: champion, none, or the folder of an evaluation.")
    ] = "champion",
    pictures: Annotated[bool, typer.Option(help="Predict the images worth seeing anew and show them.")] = True,
) -> None:
    """Write one HTML file about the model: scores, classes, confusions, images, weak spots, against the champion.

    It works offline. Every evaluate makes it too.

    Examples: `roadseg report model`; `roadseg report model --against ../other/reports/evaluation -o compared.html`
    """
    from roadseg.contracts.evaluation import read_evaluation
    from roadseg.pages.model_page import Other, write_model_page
    from roadseg.registry.champion import fetch_champion

    if against == "champion":
        other = _other(fetch_champion())
        print(f"compared with {other.name}" if other else "no champion to compare with")
    else:
        other = None if against == "none" else Other(against, read_evaluation(Path(against)))
    write_model_page(Path.cwd(), out, other, pictures)
    print(out)


@app.command()
def search(
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = SEARCH_PAGE,
) -> None:
    """Write one HTML file about the experiments of this commit: parallel coordinates and a table, the best first.

    They are compared by their score on the monitored drives, so that a search does not use up the val split. It works
    offline; docs/how-to.md has the whole recipe.

    Example: `dvc exp run --queue -S 'train.learning_rate=1.0e-3,2.0e-3' train`, `dvc queue start`, then
    `roadseg report search`
    """
    from roadseg.pages.search_page import experiments, write_search_page
    from roadseg.pipeline.dvc import dvc_json

    write_search_page(out, experiments(dvc_json(Path.cwd(), "exp", "show")))
    print(out)


def _other(champion: "Champion | None") -> "Other | None":
    from roadseg.contracts.evaluation import read_evaluation
    from roadseg.pages.model_page import Other

    if champion is None:
        return None
    try:
        return Other(champion.name, read_evaluation(champion.evaluation), champion.bundle, champion.val_manifest)
    except UsageError:  # evaluated by a version with another schema
        return None


def after_stage(name: str, exit_code: int) -> None:
    """Leave a page beside what a stage made; a failure is a line, never an error. `ROADSEG_PAGES=off` makes none."""
    if os.environ.get("ROADSEG_PAGES") == "off":
        return
    try:
        if name == "validate" and exit_code in (DONE, REFUSED):
            _after_validate(refused=exit_code == REFUSED)
        if name == "evaluate" and exit_code == DONE:
            _after_evaluate()
    except Exception as error:  # a page is a view: what it shows stands without it
        print(f"warning: no page: {type(error).__name__}: {error}", file=sys.stderr)


def _after_evaluate() -> None:
    from roadseg.pages.model_page import write_model_page
    from roadseg.registry.champion import ask_for_champion

    there = os.environ.get("MLFLOW_TRACKING_URI") or (home() / "mlflow").is_dir()  # else nothing was ever promoted
    follows = os.environ.get("ROADSEG_FOLLOW") != "off"
    write_model_page(Path.cwd(), MODEL_PAGE, _other(ask_for_champion()) if there and follows else None)
    print(f"page: {MODEL_PAGE}")


def _after_validate(refused: bool) -> None:
    from roadseg.pages.data_page import write_data_page  # late: only one stage needs it

    write_data_page(Path.cwd(), DATA_PAGE)
    print(f"page: {DATA_PAGE}")
    if refused and os.environ.get("ROADSEG_FOLLOW") != "off":
        _tell_mlflow()


def _tell_mlflow() -> None:
    from roadseg.tracking.beside import send_refusal

    if link := send_refusal(Path.cwd(), home()):
        print(f"page in MLflow: {link}")
    else:
        print(f"warning: MLflow did not take the page, see {home() / 'refusal.log'}", file=sys.stderr)
