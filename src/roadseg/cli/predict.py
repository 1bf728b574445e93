"""`roadseg predict`: masks and overlays of pictures."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from roadseg.machine.precision import AskedPrecision

CHAMPION = "models:/roadseg@champion"


def predict(  # a verb's options are its arguments
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="Pictures, folders, quoted globs, lists (.txt, a path a line)."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for masks/ and overlays/.")],
    model: Annotated[str, typer.Option(help="A bundle's folder or a models:/ URI.")] = CHAMPION,
    again: Annotated[bool, typer.Option("--again", help="Make masks anew that stand there already.")] = False,
    submission: Annotated[
        Literal["idd"] | None, typer.Option(help="Write submission/ too, as the challenge takes it.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Tiles predicted at once; sized to the device if left out.")
    ] = None,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored picture.")] = False,
    scale: Annotated[
        list[float], typer.Option(min=0.25, max=4, help="Of the working size; averaged where given several times.")
    ] = [1.0],  # noqa: B006  # typer copies it
    overlap: Annotated[
        float, typer.Option(min=0, max=0.75, help="Over 0: slide a window, see evaluate.overlap in `roadseg params`.")
    ] = 0.0,
    precision: Annotated[
        AskedPrecision, typer.Option(help="That the model computes in; auto: what is fast here.")
    ] = "auto",
) -> None:
    """Write class masks and overlays at each picture's own size.

    Of folders and globs hidden files and what an earlier prediction wrote are passed over. A mask that stands there
    from the same picture, weights and settings is kept, so a call that was stopped is finished by the next one. Exits 3
    where a picture is broken, when all others are done.

    Examples: `roadseg predict street.jpg -o out`; `roadseg predict photos -o out --model models/bundle`;
    `roadseg predict 'drives/*/front/*.png' -o out`; `roadseg predict large.png -o out --scale 2 --overlap 0.5`;
    `roadseg predict leftImg8bit/test -o out --submission idd`
    """
    from rich.progress import track

    from roadseg.contracts.bundle import Bundle
    from roadseg.predict.predictor import Predictor
    from roadseg.registry.versions import fetch_bundle
    from roadseg.serving.folders import predict_files
    from roadseg.serving.sources import find_pictures

    pictures = find_pictures(sources, out)
    bundle = Bundle.open(fetch_bundle(model))
    predictor = Predictor(bundle, batch=batch or "auto", flip=flip, scales=scale, overlap=overlap, precision=precision)
    masks = predict_files(predictor, pictures, out, again=again, submission=submission is not None)
    kept = sum(mask.kept for mask in track(masks, "predict", len(pictures.paths)))
    stood = f", {kept} of which stood there (--again makes them anew)" if kept else ""
    print(f"masks in {out / 'masks'}, overlays in {out / 'overlays'}: {len(pictures.paths)} of each{stood}")
    if submission:
        print(f"submission: {out / 'submission'}, a folder for each drive")
