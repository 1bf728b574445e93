"""`roadseg report`: pages about what the graph has made."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError

if TYPE_CHECKING:
    from roadseg.pages.model_page import Other
    from roadseg.registry.champion import Champion

app = typer.Typer(help="Make pages about what the graph has made.", no_args_is_help=True)


@app.command()
def data(
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = paths.DATA_PAGE,
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
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = paths.MODEL_PAGE,
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
        other = as_other(fetch_champion())
        print(f"compared with {other.name}" if other else "no champion to compare with")
    else:
        other = None if against == "none" else Other(against, read_evaluation(Path(against)))
    write_model_page(Path.cwd(), out, other, pictures)
    print(out)


@app.command()
def decision(
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = paths.DECISION_PAGE,
    pictures: Annotated[bool, typer.Option(help="Predict the images that changed most anew and show them.")] = True,
) -> None:
    """Write one HTML file about the last decision of the gate here: reasons, difference, rules, classes, images.

    It works offline. Every `roadseg promote` makes it too.

    Example: `roadseg report decision`, `roadseg report decision --no-pictures --out decision.html`
    """
    from roadseg.registry.decision_page import make_page, read_decision
    from roadseg.tracking.store import connect

    make_page(connect(), read_decision(), out, pictures)
    print(out)


@app.command()
def search(
    out: Annotated[Path, typer.Option("--out", "-o", help="The HTML file to write.")] = paths.SEARCH_PAGE,
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


def as_other(champion: "Champion | None") -> "Other | None":
    """The champion as the page compares with it; None where there is none, or one that this version cannot read."""
    from roadseg.contracts.evaluation import read_evaluation
    from roadseg.pages.model_page import Other

    if champion is None:
        return None
    try:
        return Other(champion.name, read_evaluation(champion.evaluation), champion.bundle, champion.val_manifest)
    except UsageError:  # evaluated by a version with another schema
        return None
