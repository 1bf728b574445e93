"""`roadseg compare`: this tree's scores beside those of another commit."""

from pathlib import Path
from typing import Annotated

import typer

from roadseg.contracts import paths


def compare_scores(
    base: Annotated[str, typer.Argument(help="A branch, a tag, a commit, or the folder of an evaluation.")],
) -> None:
    """Print the difference in mean IoU to a commit, with its interval over drives and by class, as Markdown.

    Both must be evaluated on one val split with equal settings. The base's evaluation comes from DVC's cache or remote.

    Example: `roadseg compare origin/main > comment.txt`
    """
    from roadseg.contracts.evaluation import read_evaluation
    from roadseg.pages.compared import comparison_markdown, fetch_evaluation

    ours = read_evaluation(paths.EVALUATION)
    print(comparison_markdown(ours, fetch_evaluation(Path.cwd(), base), base), end="")
