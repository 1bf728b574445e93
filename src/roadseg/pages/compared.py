"""Two evaluations side by side in Markdown, for a pull request: the difference with its interval, and by class."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import Evaluation, read_evaluation
from roadseg.gate.comparison import Comparison, incomparable, without
from roadseg.gate.difference import class_ious, measure_difference
from roadseg.gate.evidence import Evidence
from roadseg.pipeline.dvc import dvc

LEVEL = 0.95


def fetch_evaluation(tree: Path, base: str) -> Evaluation:
    """The evaluation of a commit, from DVC's cache or remote, or that in a folder.

    Raises:
        UsageError: neither is there; says what DVC said.
    """
    if (tree / base / "images.parquet").exists():
        return read_evaluation(tree / base)
    with TemporaryDirectory() as folder:
        out = Path(folder, "evaluation")
        dvc(tree, "get", "--quiet", ".", str(paths.EVALUATION), "--rev", base, "--out", str(out))
        return read_evaluation(out)


def comparison_markdown(ours: Evaluation, theirs: Evaluation, base: str) -> str:
    """The difference in mean IoU with its interval over drives, and a table of the classes.

    Args:
        ours: of this tree.
        theirs: of the base.
        base: its name, for people.

    Raises:
        UsageError: they are of other class tables, data or settings, so that no difference means anything.
    """
    _refuse_incomparable(ours, theirs, base)
    both = Comparison(without(theirs, ()), without(ours, ()))
    pair = both.pair()
    found = measure_difference(pair, confidence=LEVEL, gain=0.0, loss=0.0, seed=0)
    before, now = (class_ious(each.sum(0)) for each in (pair.champion, pair.candidate))
    interval = "" if np.isnan(found.low) else f" ({found.low:+.4f} to {found.high:+.4f} with 95 % over drives)"
    lines = [f"## Mean IoU {np.nanmean(now):.4f}, {found.value:+.4f}{interval} against `{base}`", ""]
    lines += [f"{_verdict(found.low, found.high)} {len(both.drives):,} images of {pair.drives:,} drives.", ""]
    lines += ["| class | IoU before | now | difference |", "|---|---|---|---|"]
    return "\n".join([*lines, *_rows(ours, before, now)]) + "\n"


def _refuse_incomparable(ours: Evaluation, theirs: Evaluation, base: str) -> None:
    if ours.counts.classes != theirs.counts.classes:
        raise UsageError(f"{base} was evaluated with another class table: its scores say nothing about this tree")
    pair = [Evidence(number, each, each.settings or {}) for number, each in ((2, ours), (1, theirs))]
    if said := next(incomparable(*pair), ""):
        raise UsageError(f"{base} cannot be compared: {said.replace('champion 1', base)}")


def _verdict(low: float, high: float) -> str:
    if np.isnan(low) or low <= 0 <= high:
        return "The data cannot tell the two apart."
    return "Surely better." if low > 0 else "**Surely worse.**"


def _rows(ours: Evaluation, before: np.ndarray, now: np.ndarray) -> Iterator[str]:
    moved = now - before
    for index in np.argsort(np.where(np.isnan(moved), np.inf, moved), kind="stable"):
        figures = " | ".join("absent" if np.isnan(each[index]) else f"{each[index]:.3f}" for each in (before, now))
        difference = "" if np.isnan(moved[index]) else f"{moved[index]:+.3f}"
        yield f"| {ours.counts.classes.names[index]} | {figures} | {difference} |"
