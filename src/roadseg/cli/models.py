"""Verbs about models: publish, register, promote, list, predict, score."""

import json as json_module
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from roadseg.cli.describe import describe

app = typer.Typer(help="Look at the models there are and at the registered versions.", no_args_is_help=True)
app.command()(describe)

CHAMPION = "models:/roadseg@champion"


@app.command("list")
def list_() -> None:
    """Show every registered version with its aliases and score.

    Example: `roadseg models list`
    """
    from roadseg.registry.versions import summary

    rows = summary()
    if not rows:
        print("no version is registered: run `dvc repro`, `roadseg publish` and `roadseg register`")
        return
    table = Table(*rows[0], title="roadseg", title_justify="left")
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)


def publish() -> None:
    """Send to MLflow what it lacks of the training and evaluation in this tree.

    Idempotent: a second call sends nothing. `ROADSEG_PICTURES=off` keeps pictures here.

    Example: `dvc repro && roadseg publish`
    """
    from roadseg.tracking.publish import publish as send

    sent = send(Path.cwd())
    print(f"published as run {sent.run_id}: val mIoU {sent.miou:.4f}")


def register() -> None:
    """Publish, then register the model; the same training and evaluation stays the same version.

    Example: `roadseg register`
    """
    from roadseg.registry.versions import register as enter
    from roadseg.tracking.publish import publish as send

    print(f"registered as version {enter(send(Path.cwd()))} of roadseg")


def promote(
    version: Annotated[int | None, typer.Argument(help="Registered version; the newest candidate if left out.")] = None,
    reason: Annotated[str, typer.Option(help="Kept in the ledger.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide and explain, move nothing.")] = False,
) -> None:
    """Judge a candidate against the champion; move the alias if it wins.

    Exits 4 when the candidate is held or rejected.

    Example: `roadseg promote --dry-run`, then `roadseg promote --reason "weekly retraining"`
    """
    from roadseg.registry.promote import promote as decide_and_move

    decision = decide_and_move(version, reason=reason, dry_run=dry_run)
    print(decision)
    raise typer.Exit(decision.exit_code)


def predict(
    source: Annotated[Path, typer.Argument(help="A picture or a folder of pictures.", exists=True)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for masks/ and overlays/.")],
    model: Annotated[str, typer.Option(help="A bundle's folder or a models:/ URI.")] = CHAMPION,
    batch: Annotated[int, typer.Option(min=1, help="Pictures predicted at once.")] = 8,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored picture.")] = False,
) -> None:
    """Write class masks and overlays at each picture's own size.

    Examples: `roadseg predict street.jpg -o out`; `roadseg predict photos -o out --model models/bundle`
    """
    from rich.progress import track

    from roadseg.contracts.bundle import Bundle
    from roadseg.predict.folders import pictures_in, predict_files
    from roadseg.predict.predictor import Predictor
    from roadseg.registry.versions import fetch_bundle

    paths = pictures_in(source)
    predictor = Predictor(Bundle.open(fetch_bundle(model)), batch=batch, flip=flip)
    root = source if source.is_dir() else source.parent
    for _ in track(predict_files(predictor, paths, root, out), "predict", len(paths)):
        pass
    print(f"{len(paths)} masks in {out / 'masks'}, overlays in {out / 'overlays'}")


def score(
    predictions: Annotated[Path, typer.Argument(help="Folder of predicted masks (PNG, class ids).")],
    truth: Annotated[Path, typer.Argument(help="Folder of label masks (PNG, class ids).")],
    classes: Annotated[str, typer.Option(help="Class table: a built-in name or a .yaml file.")] = "idd-level1",
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Score any tool's predictions by the official IDD score.

    Files are matched by relative path, or by name, without `_image`, `_label` and the like.

    Examples: `roadseg score out/masks labels`; `roadseg score a b --classes idd-level3 --json`
    """
    from roadseg.contracts.classes import ClassTable
    from roadseg.contracts.confusion import iou, mean_iou, pixel_accuracy
    from roadseg.evaluate.folders import score_folders

    table = ClassTable.find(classes)
    matrix, images = score_folders(predictions, truth, table)
    by_class = dict(zip(table.names, iou(matrix).tolist(), strict=True))
    if json:
        figures = {
            "miou": _or_null(mean_iou(matrix)),
            "iou": {name: _or_null(value) for name, value in by_class.items()},
            "pixel_accuracy": _or_null(pixel_accuracy(matrix)),
            "images": images,
            "classes": table.name,
        }
        print(json_module.dumps(figures, sort_keys=True))
        return
    Console().print(score_table(by_class, mean_iou(matrix), f"{images} images, {table.name}"))


def _or_null(value: float) -> float | None:
    return None if value != value else value  # NaN is no JSON


def score_table(by_class: dict[str, float], miou: float, title: str) -> Table:
    """Per-class IoU and their mean, 0..1, as people read it."""
    table = Table("class", "IoU", title=title, title_justify="left")
    for name, value in by_class.items():
        table.add_row(name, "absent" if value is None or value != value else f"{value:.3f}")
    table.add_section()
    table.add_row("mean", f"{miou:.4f}")
    return table
