"""The page about a model: a view of what evaluate left, one HTML file that works offline."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import Evaluation, read_evaluation
from roadseg.contracts.files import read_json, replacing
from roadseg.contracts.manifest import read_manifest
from roadseg.evaluate.scores import CLASS_METRICS
from roadseg.evaluate.slices import worst_slices
from roadseg.pages import model_figures as figures
from roadseg.pages.examples import choose, examples
from roadseg.pages.rendering import render
from roadseg.pipeline.git import git_state

SLICES, QUANTILES = 12, 4
REMEDY = "dvc repro evaluate"


@dataclass(frozen=True)
class Other:
    """A model that the page compares with.

    Attributes:
        name: as people call it, such as `champion, version 3`.
        folder: its evaluation.
        bundle: to predict with; without it only figures are compared.
    """

    name: str
    folder: Path
    bundle: Path | None


def write_model_page(tree: Path, out: Path, other: Other | None = None, pictures: bool = True) -> None:
    """Write the page of a tree in which evaluate has run; see `render_model_page`."""
    page = render_model_page(tree, other, pictures)
    with replacing(out) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")


def render_model_page(tree: Path, other: Other | None = None, pictures: bool = True) -> str:
    """Scores, classes, confusions, slices, examples, calibration and the training's curves, as HTML.

    Args:
        tree: a checkout in which evaluate has run.
        other: a model to compare with, evaluated on the same images; another set of images is said and not compared.
        pictures: whether images are predicted anew and shown.

    Returns:
        HTML that needs no other file and holds no time or host.

    Raises:
        UsageError: a file of the graph is missing or damaged; says what to run.
    """
    bundle, manifest = Bundle.open(tree / "models/bundle"), read_manifest(tree / "data/manifest.parquet")
    scores = read_json(tree / "metrics.json", "metrics", REMEDY)
    evaluation = read_evaluation(tree / "reports/evaluation")
    rows = manifest.records("val")
    if [row["sample"] for row in rows] != evaluation.images["sample"].to_pylist():
        raise UsageError(f"{tree / 'reports/evaluation'} is of other images than the manifest: run `{REMEDY}`")
    before = _same_images(evaluation, other)
    groups = choose(evaluation, before)
    models = {"prediction": bundle}
    if other and before and other.bundle:
        models[other.name] = Bundle.open(other.bundle)
    shown = examples(evaluation, groups, rows, tree / "data/raw", models, before) if pictures else ()
    return render(
        "model.html",
        card=bundle.card,
        classes=evaluation.counts.classes,
        commit=git_state(tree),
        curves=figures.curves(_history(tree / "reports/history.csv")),
        headlines=figures.headlines(scores),
        keys=list(CLASS_METRICS),
        matrix=figures.confusion_shares(evaluation).tolist(),
        other=other,
        before=before,
        groups=groups if pictures else [],
        examples=list(shown),
        reliability=figures.reliability(evaluation),
        rows=figures.class_rows(evaluation, scores, before),
        scores=scores,
        slices=worst_slices(evaluation, SLICES, least=max(3, len(rows) // 50), quantiles=QUANTILES),
        val_digest=manifest.digest("val"),
    )


def _same_images(evaluation: Evaluation, other: Other | None) -> Evaluation | None:
    """The other evaluation, where it is of the same images and classes."""
    if other is None:
        return None
    found = read_evaluation(other.folder)
    same = found.images["sample"].equals(evaluation.images["sample"])
    return found if same and found.counts.classes == evaluation.counts.classes else None


def _history(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError):  # not pulled: a page about an evaluation can do without
        return pd.DataFrame({name: [] for name in figures.CURVES})
