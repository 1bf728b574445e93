"""`roadseg reproduce`: make a registered model again."""

from pathlib import Path
from typing import Annotated

import typer


def reproduce(
    model: Annotated[
        str, typer.Argument(help="champion, candidate, a version's number, or a models:/ URI.")
    ] = "champion",
    into: Annotated[
        Path | None, typer.Option("--into", help="Folder to rebuild in and to keep; else a temporary one.")
    ] = None,
) -> None:
    """Rebuild a version from its commit, its uncommitted changes and its data, and compare weights and scores.

    Every stage runs anew, with a home of its own; nothing goes to MLflow or into DVC's cache. `git worktree remove
    --force FOLDER/tree` forgets a folder that was kept.

    Exits 0 where the same comes out, or another result on another kind of processor, which is said; 1 where it
    differs on the same kind; 2 where it cannot be rebuilt, with what is missing.

    Examples: `roadseg reproduce`; `roadseg reproduce 3 --into /tmp/three`
    """
    from roadseg.registry.rebuild.reproduce import rebuild

    comparison = rebuild(model, into)
    for line in comparison.lines:
        print(line)
    raise typer.Exit(comparison.exit_code)
