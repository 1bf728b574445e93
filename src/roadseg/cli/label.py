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
        typer.Argument(help="`test`, for the test split's pictures; a folder of drives; or a server's kept frames."),
    ] = "test",
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=100_000, help="Pictures.")] = 50,
    split: Annotated[
        Literal["train", "val"], typer.Option(help="That the drives get when they are imported.")
    ] = "train",
    by: Annotated[
        Literal["mixed", "uncertainty", "random"],
        typer.Option(help="mixed: doubt, rare classes and difference; the others are for comparison."),
    ] = "mixed",
    batch: Annotated[str, typer.Option(help="Name of the batch; else one by the day.")] = "",
    model: Annotated[str, typer.Option(help="`champion`, a bundle's folder or a models:/ URI.")] = CHAMPION,
    pictures: Annotated[bool, typer.Option(help="Show pictures on the page; else names and figures only.")] = True,
) -> None:
    """Pick the pictures that are most worth labelling, and say why each.

    By what the model does not know (areas, not outlines), by rare classes, and by difference from what is labelled and
    from each other. Near copies and more than one frame of a scene are left out; what is labelled, in val or in another
    batch is not picked. A drive of test that is picked leaves test whole when the batch is imported.

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
        picked, notes = pick_batch(found, tree, manifest, predictor, Embedder(bundle), wanted, step)
    page = write_picks_page(picked, pictures=pictures)
    print("\n".join([f"batch {picked.name}: {len(picked.picks)} of {picked.looked} pictures; look at {page}", *notes]))
    print(f"next: `roadseg label export {picked.name} --to cvat`, label-studio or folders")


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
