"""`roadseg drift`: whether new pictures are still like those that the champion knows."""

import os
from pathlib import Path
from typing import Annotated

import typer

from roadseg.drift.limits import DISTANCE, LEVEL, MOST

PAGE = Path("reports/drift.html")


def drift(
    folder: Annotated[Path, typer.Argument(help="New pictures, a folder for each drive; or a server's kept frames.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The HTML file to write; the figures are beside it, ending in .json.")
    ] = PAGE,
    level: Annotated[float, typer.Option(min=0.0001, max=0.5, help="Of a false alarm in any figure.")] = LEVEL,
    distance: Annotated[float, typer.Option(min=0, max=1, help="Least distance that counts as drift.")] = DISTANCE,
    most: Annotated[int, typer.Option(min=1, help="Pictures to look at, spread evenly over the folder.")] = MOST,
    pictures: Annotated[bool, typer.Option(help="Show pictures on the page; else names and figures only.")] = True,
) -> None:
    """Compare a folder of new pictures with what the champion was trained on, and its answers with those on val.

    Brightness, contrast, sharpness, noise, haze and colours of the pictures; class shares and confidence of the
    answers. No labels are needed. Whole drives are permuted, since frames of a drive are alike: more drives tell more,
    more frames of one drive do not. Of frames that a server kept only those kept by chance are taken.

    The reference is kept with the champion in MLflow. Where it is missing it is made first, from the images in this
    checkout or in the workspace in home.

    Examples: `roadseg drift new-drives`; `roadseg drift .roadseg/serving/kept --level 0.001`
    """
    from roadseg.drift.finding import write_finding
    from roadseg.pages.drift_page import write_drift_page
    from roadseg.registry.drift import at_hand, look_for_drift

    seen = look_for_drift(folder, at_hand(Path.cwd()), level=level, distance=distance, most=most)
    shown = pictures and os.environ.get("ROADSEG_PICTURES") != "off"
    write_drift_page(out, seen, folder, pictures=shown)
    write_finding(out.with_suffix(".json"), seen.finding)
    print(seen.finding.sentence)
    print(f"the page is {out}")
