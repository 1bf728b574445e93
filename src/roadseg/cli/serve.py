"""Verb serve: answer pictures over HTTP."""

from typing import Annotated

import typer

from roadseg.machine.precision import AskedPrecision


def serve(
    host: Annotated[
        str, typer.Option(help="To listen at; 0.0.0.0 lets others in, and there is no login.")
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
    queue: Annotated[int, typer.Option(min=1, help="Requests held at once; one more gets a 503.")] = 64,
    max_pixels: Annotated[int, typer.Option(min=1, help="Of a picture.")] = 12_000_000,
    max_bytes: Annotated[int, typer.Option(min=1, help="Of a picture's file.")] = 16 << 20,
) -> None:
    """Answer pictures with masks over HTTP; the champion is followed as it moves.

    `POST /predict` takes a JPEG, PNG or WebP; by Accept it answers a mask (PNG), figures (JSON), an overlay (JPEG) or
    probabilities (NumPy). `/` is a page to try it; see also `/health`, `/ready`, `/version` and `/metrics`.

    Examples: `roadseg serve`; `roadseg serve --port 9000 --model models/bundle`;
    `curl --data-binary @street.jpg http://127.0.0.1:8000/predict -o mask.png`
    """
    from roadseg.serving.server.limits import Limits
    from roadseg.serving.server.run import Serving
    from roadseg.serving.server.run import serve as run

    limits = Limits(queue=queue, pixels=max_pixels, body=max_bytes)
    settings = {"flip": flip, "scales": scale, "overlap": overlap, "precision": precision}
    run(Serving(host, port, settings, model, limits=limits))
