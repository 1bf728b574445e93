"""`roadseg labels`: which labels are most likely wrong."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import typer

from roadseg.contracts import paths
from roadseg.contracts.errors import DataRefused, UsageError

SPLITS = {"train": ["train"], "val": ["val"], "both": ["train", "val"]}


def labels(
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

    Examples: `roadseg labels`; `roadseg labels --split val --top 20`;
    `roadseg labels --model models:/roadseg@champion -o doubts.html`
    """
    if out.suffix == ".csv":
        raise UsageError(f"{out}: --out is the page; the list gets its name with .csv: give {out.with_suffix('.html')}")
    from rich.progress import track

    from roadseg.contracts.bundle import Bundle
    from roadseg.contracts.manifest import read_manifest
    from roadseg.labels.suspects import labelled, most_disputed_first, suspects, write_list
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
