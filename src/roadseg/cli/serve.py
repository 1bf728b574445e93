"""Verb serve: answer pictures over HTTP."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from roadseg.contracts.errors import UsageError
from roadseg.machine.precision import AskedPrecision


def serve(  # a verb's options are its arguments
    host: Annotated[
        str, typer.Option(help="To listen at; 0.0.0.0 lets others in: set ROADSEG_SERVE_TOKEN.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one, and says which.")] = 8000,
    model: Annotated[str, typer.Option(help="A bundle's folder, instead of the registered champion.")] = "",
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
    shadow: Annotated[str, typer.Option(help="candidate: it sees a share of the requests too.")] = "",
    shadow_share: Annotated[float, typer.Option(min=0, max=1, help="Of the requests that a shadow sees.")] = 0.1,
    keep: Annotated[str, typer.Option(help="Folder to keep frames in, for labelling.")] = "",
    keep_rate: Annotated[float, typer.Option(min=0, max=1, help="Of the requests that are considered for it.")] = 0.05,
    keep_cap: Annotated[int, typer.Option(min=1, help="Megabytes that it may have.")] = 500,
    queue: Annotated[int, typer.Option(min=1, help="Requests held at once; one more gets a 503.")] = 64,
    max_pixels: Annotated[int, typer.Option(min=1, help="Of a picture.")] = 12_000_000,
    max_bytes: Annotated[int, typer.Option(min=1, help="Of a picture's file.")] = 16 << 20,
) -> None:
    """Answer pictures with masks over HTTP; the champion is followed as it moves.

    `POST /predict` takes a JPEG, PNG or WebP; by Accept it answers a mask (PNG), figures (JSON), an overlay (JPEG) or
    probabilities (NumPy). `/` is a page to try it; see also `/health`, `/ready`, `/version` and `/metrics`.
    Where `ROADSEG_SERVE_TOKEN` is set, all but `/health` ask for it, as Bearer or as the password of any user.

    `--shadow candidate` compares the candidate with the champion where nobody waits for it; `roadseg shadow` shows
    what came of it. `--keep` keeps pictures that are worth labelling, and a uniform sample, and is off by default.

    Examples: `roadseg serve`; `roadseg serve --shadow candidate --keep frames`;
    `roadseg serve --port 9000 --model models/bundle`;
    `curl --data-binary @street.jpg http://127.0.0.1:8000/predict -o mask.png`
    """
    from roadseg.serving.server.limits import Limits
    from roadseg.serving.server.run import Serving, serve_until_stopped

    if shadow not in ("", "candidate"):
        raise UsageError(f"--shadow is {shadow!r}: candidate is what can run beside the champion")
    limits = Limits(queue=queue, pixels=max_pixels, body=max_bytes)
    settings = {"flip": flip, "scales": scale, "overlap": overlap, "precision": precision}
    kept, share = keep_cap * 1_000_000, shadow_share if shadow else 0.0
    told = Serving(
        host, port, settings, folder=model, shadow=share, keep=keep, keep_rate=keep_rate, keep_cap=kept, limits=limits
    )
    serve_until_stopped(told)


def shadow() -> None:
    """Show what candidates said beside the champion, in servers with `--shadow candidate`.

    Example: `roadseg shadow`
    """
    from roadseg.gate.shadow import read_shadows

    found = read_shadows()
    if not found:
        print("no candidate was compared: run `roadseg serve --shadow candidate`")
    for pair in found:
        title = f"version {pair.candidate} beside champion {pair.champion}: {pair.pictures} pictures"
        table = Table("champion's class", "candidate says otherwise", title=title, title_justify="left")
        for name, share in pair.by_class.items():
            table.add_row(name, "absent" if share is None else f"{share:.2%}")
        table.add_section()
        table.add_row("all pixels", f"{pair.disagreement:.2%}")
        Console().print(table)
