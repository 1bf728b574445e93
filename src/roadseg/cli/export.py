"""`roadseg export`: a model for other runtimes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from roadseg.cli.predict import CHAMPION

if TYPE_CHECKING:
    from roadseg.serving.export.write import Exported


def export(
    to: Annotated[Literal["onnx", "onnx-int8"], typer.Option(help="Float32, or 8 bits.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path("model.onnx"),
    model: Annotated[str, typer.Option(help="A bundle's folder or a models:/ URI.")] = CHAMPION,
    fixed: Annotated[
        bool, typer.Option("--fixed", help="Take the working size alone, not any multiple of the stride.")
    ] = False,
    max_drop: Annotated[
        float, typer.Option(min=0, max=1, help="Of mIoU on the val split, that 8 bits may cost.")
    ] = 0.005,
) -> None:
    """Write a model as ONNX: uint8 (N, H, W, 3) in, scores (N, H, W, K) out, normalisation inside.

    It is compared with the bundle before it is written: on the val split of this tree, else on generated scenes. In 8
    bits it is calibrated on this tree's training images, and exits 3 where mIoU falls by more than --max-drop. Needs
    the extra `export`: `pip install 'roadseg[export]'`.

    Examples: `roadseg export --to onnx`; `roadseg export --to onnx-int8 -o small.onnx --model models/bundle --fixed`
    """
    from roadseg.contracts.bundle import Bundle
    from roadseg.registry.versions import fetch_bundle
    from roadseg.serving.export.write import export_int8, export_onnx

    bundle = Bundle.open(fetch_bundle(model))
    found = (
        export_onnx(bundle, out, fixed=fixed)
        if to == "onnx"
        else export_int8(bundle, out, fixed=fixed, max_drop=max_drop)
    )
    Console().print(exported_table(found))
    print(f"{to}: {out}")


def exported_table(found: "list[Exported]") -> Table:
    """The models side by side, as people read them."""
    scored = found[0].compared.miou is not None
    table = Table(
        "model", "MB", "ms a tile", "times as fast", "pixels moved", "in the worst image", title_justify="left"
    )
    table.title = (
        "asked on the val split"
        if scored
        else "asked on generated scenes: this tree has no val split of the model's classes"
    )
    table.add_column("mIoU")
    table.add_column("difference")
    for each in found:
        miou, first = each.compared.miou, found[0].compared.miou
        shown = ["", ""] if miou is None or first is None else [f"{miou:.5f}", f"{miou - first:+.5f}"]
        table.add_row(
            each.name,
            f"{each.size / 1e6:.1f}",
            f"{each.milliseconds:.1f}",
            f"{found[0].milliseconds / each.milliseconds:.2f}",
            f"{each.compared.moved:.4%}",
            f"{each.compared.worst:.4%}",
            *shown,
        )
    return table
