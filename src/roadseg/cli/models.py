"""Verbs about models: publish, register, list, card, score."""

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from roadseg.cli.describe import describe_models
from roadseg.cli.gate import history
from roadseg.cli.pretrained import pretrained
from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError

app = typer.Typer(help="Look at the models there are and at the registered versions.", no_args_is_help=True)
app.command("describe")(describe_models)
app.command("history")(history)
app.command("pretrained")(pretrained)

RESAMPLES = 1000  # of the bootstrap behind the intervals of `score`


@app.command("list")
def list_() -> None:
    """Show every registered version with its aliases and score.

    Example: `roadseg models list`
    """
    from roadseg.registry.versions import version_rows

    rows = version_rows()
    if not rows:
        print("no version is registered: run `dvc repro`, `roadseg publish` and `roadseg register`")
        return
    table = Table(*rows[0], title="roadseg", title_justify="left")
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)


@app.command()
def init(
    model: Annotated[str, typer.Argument(help="champion, candidate, a version's number, or a bundle's folder.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Leave params.yaml alone.")] = False,
) -> None:
    """Start the next training from a model's weights: copy them to home, set train.init in params.yaml.

    Examples: `roadseg models init champion`; `roadseg models init models/bundle`
    """
    from roadseg.pipeline.settings import change_settings
    from roadseg.registry.initial import bring_weights

    digest = bring_weights(model)
    if not dry_run:
        change_settings(paths.PARAMS, "train", {"init": digest})
    print(f"train.init: {digest}")


@app.command("card")
def model_card(
    version: Annotated[str, typer.Argument(help="A version's number, champion, candidate or a models:/ URI.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write, such as README.md.")] = None,
    licence: Annotated[str | None, typer.Option("--license", help="For the front matter, such as apache-2.0.")] = None,
) -> None:
    """Write a version's model card from what is stored; its text becomes the description in MLflow.

    With the front matter of Hugging Face's hub. A description that a person wrote stays.

    Examples: `roadseg models card champion`; `roadseg models card 3 --out README.md --license apache-2.0`
    """
    from roadseg.registry.card import write_card

    text, described = write_card(version, licence)
    if not described:
        print("warning: the description in MLflow was written by a person, and stays", file=sys.stderr)
    _give(text, out, "card")


@app.command("sbom")
def model_bill(
    version: Annotated[str, typer.Argument(help="A version's number, champion, candidate or a models:/ URI.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; else it is printed.")] = None,
) -> None:
    """Write a version's bill of materials in CycloneDX's JSON: digests of weights and data, libraries, ancestors.

    Example: `roadseg models sbom champion -o champion.cdx.json`
    """
    from roadseg.registry.sbom import bill_of_materials

    _give(json_module.dumps(bill_of_materials(version), indent=1) + "\n", out, "bill of materials")


def _give(text: str, out: Path | None, what: str) -> None:
    """Print a text, or write it to a file and say so."""
    from roadseg.contracts.files import replacing

    if out is None:
        print(text, end="")
        return
    with replacing(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"{what}: {out}")


def publish(
    as_new: Annotated[
        bool,
        typer.Option("--as-new", help="Where an equal training left other weights in MLflow: make a run beside it."),
    ] = False,
) -> None:
    """Send to MLflow what it lacks of the training and evaluation in this tree.

    Idempotent: a second call sends nothing. `ROADSEG_PICTURES=off` keeps pictures here.

    Example: `dvc repro && roadseg publish`
    """
    from roadseg.tracking.publish import publish as send

    sent = send(Path.cwd(), as_new=as_new)
    print(f"published as run {sent.run_id}: val mIoU {sent.miou:.4f}")


def register() -> None:
    """Publish, then register the model; the same training and evaluation stays the same version.

    Example: `roadseg register`
    """
    from roadseg.registry.card import write_card
    from roadseg.registry.versions import is_left_to_gate
    from roadseg.registry.versions import register as enter
    from roadseg.tracking.publish import publish as send

    version = enter(send(Path.cwd()))
    write_card(str(version))
    print(f"registered as version {version} of roadseg")
    if is_left_to_gate(version):
        print("alias candidate is left to the gate: `roadseg promote` by its user sets it before it decides")


def score(
    predictions: Annotated[Path, typer.Argument(help="Folder of predicted masks (PNG, class ids).")],
    truth: Annotated[Path, typer.Argument(help="Folder of label masks, as the class table says.")],
    classes: Annotated[str, typer.Option(help="Class table: a built-in name or a .yaml file.")] = "idd-level1",
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write a page too, as `roadseg report model` does.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="For the page: another tool's predictions of the same labels.")
    ] = None,
) -> None:
    """Score any tool's predictions by the official IDD score and others, with intervals.

    Predictions hold class ids; labels hold what the table's `values` or colours say. Files are matched by relative
    path, or by name, without `_image`, `_label` and the like. Labels of one folder are one drive.

    Examples: `roadseg score out/masks labels`; `roadseg score a b --classes idd-level3 --json`;
    `roadseg score theirs labels --report out.html --against ours`
    """
    from roadseg.contracts.classes import ClassTable
    from roadseg.evaluate.scores import summary
    from roadseg.scoring.folders import pairs, score_folders

    if against and not report:
        raise UsageError("--against compares on the page: give --report FILE.html too")
    table = ClassTable.find(classes)
    evaluation = score_folders(predictions, truth, table)
    found = summary(evaluation, resamples=RESAMPLES, seed=0)
    if report:
        from roadseg.pages.model_page import Other, write_score_page

        other = Other(str(against), score_folders(against, truth, table)) if against else None
        write_score_page(report, evaluation, found, pairs(predictions, truth), other)
    by_class = {name: found[f"iou.{name}"] for name in table.names}
    if json:
        print(json_module.dumps({**_nested(found), "classes": table.name}, sort_keys=True))
        return
    title = f"{found['images']} images, {table.name}"
    Console().print(score_table(by_class, found["miou"], title))
    Console().print(figure_table({name: value for name, value in found.items() if "." not in name}))


def _nested(figures: dict[str, Any]) -> dict[str, Any]:
    """`iou.road` becomes `iou: {road: ...}`."""
    nested: dict[str, Any] = {}
    for key, value in figures.items():
        name, _, class_name = key.partition(".")
        if class_name:
            nested.setdefault(name, {})[class_name] = value
        else:
            nested[name] = value
    return nested


def score_table(by_class: dict[str, float | None], miou: float | None, title: str) -> Table:
    """Per-class IoU and their mean, 0..1, as people read it."""
    table = Table("class", "IoU", title=title, title_justify="left")
    for name, value in by_class.items():
        table.add_row(name, "absent" if value is None else f"{value:.3f}")
    table.add_section()
    table.add_row("mean", "absent" if miou is None else f"{miou:.4f}")
    return table


def figure_table(figures: dict[str, Any]) -> Table:
    """The figures of the whole with their 95 % intervals over drives and over images, as people read them."""
    table = Table("figure", "value", "over drives", "over images")
    for name, value in figures.items():
        if f"{name}_low" in figures:
            ends = [figures[f"{name}_{end}"] for end in ("low", "high", "images_low", "images_high")]
            shown = ["" if each is None else f"{each:.3f}" for each in ends]
            drives, images = (" to ".join(filter(None, pair)) for pair in (shown[:2], shown[2:]))
            table.add_row(name, "" if value is None else f"{value:.4f}", drives, images)
    return table
