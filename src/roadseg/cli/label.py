"""`roadseg label`: which pictures to label next, their way to a tool and back, and which labels are likely wrong."""

import sys
from collections import Counter
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from roadseg.contracts import paths
from roadseg.contracts.errors import DataRefused, UsageError

if TYPE_CHECKING:
    import numpy as np

    from roadseg.contracts.bundle import Bundle

app = typer.Typer(help="Pick what to label next, export, import, and find wrong labels.", no_args_is_help=True)
SPLITS = {"train": ["train"], "val": ["val"], "both": ["train", "val"]}
CHAMPION = "champion"


@app.command("check")
def check_labels(
    split: Annotated[Literal["train", "val", "both"], typer.Option(help="Whose labels to look at.")] = "both",
    top: Annotated[int, typer.Option(min=1, help="How many the page shows; the list names all.", metavar="N")] = 50,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The HTML file to write; the list is beside it, ending in .csv.")
    ] = paths.LABELS_PAGE,
    model: Annotated[str, typer.Option(help="A bundle's folder or a models:/ URI.")] = str(paths.BUNDLE),
    batch: Annotated[
        int | None, typer.Option(min=1, help="Tiles predicted at once; sized to the device if left out.")
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Show images on the page; else names and boxes only.")] = True,
) -> None:
    """Find labels that are most likely wrong: a page with pictures and a list for annotators.

    Predicts every labelled image and looks for areas, not only outlines, in which the model all but rules out the
    class that the label gives. First comes the image with the largest share of such pixels. The list (CSV) has image
    and mask file, share, and of the largest area the class given, the class predicted, its mean probability and its
    box in pixels, x1 and y1 exclusive.

    The model was trained on train: what it still disputes there is worth more, errors that it has learned are missed.
    Look, then repair masks in data/raw or leave samples out with `roadseg data quarantine`.

    Examples: `roadseg label check`; `roadseg label check --split val --top 20`;
    `roadseg label check --model models:/roadseg@champion -o doubts.html`
    """
    if out.suffix == ".csv":
        raise UsageError(f"{out}: --out is the page; the list gets its name with .csv: give {out.with_suffix('.html')}")
    from rich.progress import track

    from roadseg.contracts.bundle import Bundle
    from roadseg.contracts.manifest import read_manifest
    from roadseg.labelling.suspects import labelled, most_disputed_first, suspects, write_list
    from roadseg.pages.labels_page import write_labels_page
    from roadseg.predict.predictor import Predictor
    from roadseg.registry.versions import fetch_bundle

    tree, manifest = Path.cwd(), read_manifest(paths.MANIFEST)
    rows = labelled(manifest, SPLITS[split])
    bundle = Bundle.open(fetch_bundle(model))
    if bundle.classes != manifest.classes:
        raise DataRefused(f"{model} knows {bundle.classes.name}, the data are {manifest.classes.name}: train again")
    predictor = Predictor(bundle, batch=batch or "auto", precision="auto")
    judged = track(suspects(rows, tree, predictor), "labels", len(rows))
    found = most_disputed_first([suspect for suspect in judged if suspect])
    listed = out.with_suffix(".csv")
    write_list(listed, found, bundle.classes)
    looked = Counter(row["split"] for row in rows)
    write_labels_page(out, tree, predictor, found, looked=looked, listed=listed, top=top, pictures=pictures)
    print(f"labels in doubt: {len(found)} of {len(rows)} images, in {listed}; look at them in {out}")
    print("then repair masks in data/raw, or `roadseg data quarantine SAMPLE --reason label` leaves one out")


@wraps(check_labels)
def labels(**given: Any) -> None:
    """The old name of `roadseg label check`, for one release more; it says so on stderr."""
    print(
        "`roadseg labels` is called `roadseg label check` now; the old name goes with the next release", file=sys.stderr
    )
    check_labels(**given)


labels.__doc__ = (
    "Is called `roadseg label check` now; this name goes with the next release.\n\nExample: `roadseg labels`"
)


@app.command()
def pick(
    source: Annotated[
        str,
        typer.Argument(help="`test`, for the test split; `left-out`; a folder of drives; or a server's kept frames."),
    ] = "test",
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=100_000, help="Pictures.")] = 50,
    split: Annotated[
        Literal["train", "val"], typer.Option(help="That the drives get when they are imported.")
    ] = "train",
    by: Annotated[
        Literal["mixed", "uncertainty", "random"],
        typer.Option(help="mixed: doubt, rare classes, difference. random: better where little is labelled yet."),
    ] = "mixed",
    batch: Annotated[str, typer.Option(help="Name of the batch; else one by the day.")] = "",
    model: Annotated[str, typer.Option(help="`champion`, a bundle's folder or a models:/ URI.")] = CHAMPION,
    pictures: Annotated[bool, typer.Option(help="Show pictures on the page; else names and figures only.")] = True,
) -> None:
    """Pick the pictures that are most worth labelling, and say why each.

    By what the model does not know (areas, not outlines), by rare classes, and by difference from what is labelled and
    from each other. Near copies and more than one frame of a scene are left out; what is labelled, in val or in another
    batch is not picked. A drive of test leaves it whole when the batch is imported; its other pictures are `left-out`.

    Writes labelling/BATCH in home: picks.csv with the reasons in numbers, picks.html with pictures, copies of the
    pictures, and the model's masks. A pick that was killed goes on when it is called again.

    Examples: `roadseg label pick -n 50`; `roadseg label pick drives/october -n 200`;
    `roadseg label pick .roadseg/serving/kept -n 30 --split val`
    """
    from rich.progress import Progress

    from roadseg.contracts.manifest import read_manifest
    from roadseg.labelling.embedding import Embedder
    from roadseg.labelling.pick import Wanted, pick_batch
    from roadseg.labelling.sources import find_source
    from roadseg.pages.picks_page import write_picks_page
    from roadseg.pipeline.settings import read_settings
    from roadseg.predict.predictor import Predictor

    tree, manifest = Path.cwd(), read_manifest(paths.MANIFEST)
    found = find_source(source, tree, manifest)
    bundle, called = model_to_pick_with(model)
    bits = int(read_settings(paths.PARAMS)["validate"]["near_duplicate"])
    predictor, wanted = Predictor(bundle, batch="auto", precision="auto"), Wanted(count, by, split, batch, called, bits)
    with Progress() as progress:
        step = partial(progress.advance, progress.add_task("pictures", total=len(found.frames)))
        given = found, tree, manifest, predictor, Embedder(bundle), wanted, step
        picked, notes = pick_batch(*given, partial(write_picks_page, pictures=pictures))
    said = f"batch {picked.name}: {len(picked.picks)} of {picked.looked} pictures; look at {picked.page}"
    print(said, *notes, f"next: `roadseg label export {picked.name} --to cvat`, label-studio or folders", sep="\n")


def model_to_pick_with(model: str) -> tuple["Bundle", str]:
    """The bundle and what it is called.

    Raises:
        UsageError: it cannot be had; or there is no champion.
    """
    from roadseg.contracts.bundle import Bundle
    from roadseg.registry.champion import fetch_champion
    from roadseg.registry.versions import fetch_bundle

    if model != CHAMPION:
        return Bundle.open(fetch_bundle(model)), model
    champion = fetch_champion()
    if champion is None:
        raise UsageError(f"there is no champion: promote a model, or give --model {paths.BUNDLE}")
    return Bundle.open(champion.bundle), champion.name


@app.command("export")
def export_labels(
    batch: Annotated[str, typer.Argument(help="Name of a batch, as `roadseg label pick` gave it.")],
    to: Annotated[
        Literal["cvat", "cvat-camvid", "cvat-cityscapes", "label-studio", "folders"],
        typer.Option(help="The tool; cvat is its Segmentation mask 1.1, the other two its CamVid and Cityscapes."),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to make; else BATCH-TOOL here.")] = None,
    root: Annotated[
        Path | None, typer.Option(help="Of Label Studio's local files, above --out; else the folder that --out is in.")
    ] = None,
) -> None:
    """Write a batch as an annotation tool imports it, with the model's masks as pre-annotation and the class table.

    cvat: make a task of images/ with the labels of labels.json, then upload annotations.zip. label-studio: a project
    with the interface of labels.xml and local files served from --root, then import tasks.json. folders: images/, and
    masks/ with ids in the pixels, 255 for void.

    Examples: `roadseg label export 2026-01-31-1 --to cvat`;
    `roadseg label export 2026-01-31-1 --to label-studio -o /srv/label/batch --root /srv/label`
    """
    from roadseg.labelling.batch import open_batch
    from roadseg.labelling.tools.write import export_batch

    found, target = open_batch(batch), out or Path(f"{batch}-{to}")
    export_batch(found, to, target, root or target.absolute().parent)
    print(f"{len(found.picks)} pictures with masks in {target}")
    print(f"next: have them corrected, then `roadseg label import {batch} EXPORT`")


@app.command("import")
def import_labels(
    batch: Annotated[str, typer.Argument(help="Name of the batch.")],
    source: Annotated[
        Path, typer.Argument(help="What the tool exported: an archive, a folder, or Label Studio's JSON.")
    ],
    partial: Annotated[bool, typer.Option("--partial", help="Take what is finished where not all is.")] = False,
) -> None:
    """Take corrected masks back: judge them beside data/raw as ingest does, then add them; show what people changed.

    A picture that is not finished, a mask of another size or with unknown labels, or a drive that validate would refuse
    is named, and nothing is taken. The split of each drive stands in data/splits.csv, so a drive that was in test is in
    train (or val) from now on, and nothing in data/raw moves. What of it is not labelled is in data/quarantine.csv, and
    the source `left-out` of `roadseg label pick`.

    Examples: `roadseg label import 2026-01-31-1 task.zip`; `roadseg label import 2026-01-31-1 project.json --partial`
    """
    from roadseg.labelling.batch import open_batch
    from roadseg.labelling.take import import_batch

    found = open_batch(batch)
    taken = import_batch(Path.cwd(), found, source, partial=partial)
    _show_changes(taken.counts, found.classes.names)
    drives = Counter(taken.drives.values())
    where = " and ".join(f"{count} drives in {split}" for split, count in drives.items())
    print(f"data/raw: {taken.new} new files, {taken.pictures} pictures labelled, {where}")
    if taken.left_out:
        print(f"without labels: {len(taken.left_out)} images of these drives, left out by data/quarantine.csv; after")
        print("`dvc repro`, `roadseg label pick left-out` picks among them")
    print("\n".join(f"warning: {said}" for said in taken.warnings) or "next: dvc repro")


def _show_changes(counts: "np.ndarray", names: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    from roadseg.labelling.take import changed_by_class

    total, changed = int(counts.sum()), int(counts.sum() - counts.trace())
    title = f"people changed {changed:,} of {total:,} pixels ({changed / max(1, total):.1%})"
    table = Table("class", "pixels by the model", "of these changed", title=title, title_justify="left")
    for name, said, other in changed_by_class(counts, names):
        table.add_row(name, f"{said:,}", f"{other:,} ({other / max(1, said):.1%})")
    Console().print(table)


@app.command("report")
def report_labels(
    batch: Annotated[list[str] | None, typer.Argument(help="Names of batches; all of them if left out.")] = None,
) -> None:
    """Show what each batch cost, and what the next training brought: from the batches in home and the ledger.

    Cost is pictures, and pixels that people gave another class than the model had. The gain is that of the first model
    that was trained on pictures of the batch over the champion that was not: mIoU and each class, with the interval
    over drives that the gate has. Whatever else changed between the two is in it as well.

    Examples: `roadseg label report`; `roadseg label report 2026-01-31-1`
    """
    from rich.console import Console
    from rich.table import Table

    from roadseg.labelling.batch import all_batches, open_batch
    from roadseg.registry.bought import what_batches_bought

    found = what_batches_bought(map(open_batch, batch) if batch else all_batches())
    if not found:
        print("no batch was picked yet: `roadseg label pick` makes one")
        return
    table = Table("batch", "pictures", "pixels changed", "gate", "mIoU and classes", title="what labels bought")
    for each in found:
        share = f"{each.changed:,} ({each.changed / each.pixels:.1%})" if each.pixels else ""
        gate = f"{each.outcome} {each.before} -> {each.version}" if each.outcome else ""
        changes = ({"mIoU": each.miou} if each.miou else {}) | each.classes
        lines = [f"{name} {one.value:+.4f} ({one.low:+.4f} to {one.high:+.4f})" for name, one in changes.items()]
        table.add_row(
            each.batch, str(each.pictures or ""), share, gate, "\n".join([*lines, *filter(None, [each.note])])
        )
    Console().print(table)
