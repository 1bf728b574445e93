"""The page about a model: a view of what evaluate left, one HTML file that works offline."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from roadseg.contracts import paths
from roadseg.contracts.bundle import Bundle
from roadseg.contracts.confusion import mean_iou
from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import Evaluation, read_evaluation, read_scores
from roadseg.contracts.files import digest_file
from roadseg.contracts.manifest import read_manifest
from roadseg.evaluate.measures import shares
from roadseg.evaluate.scores import CLASS_METRICS
from roadseg.gate.settings import compared_settings
from roadseg.pages import model_figures as figures
from roadseg.pages.examples import Pictures, choose, examples, predicted, read
from roadseg.pages.rendering import render, write_page
from roadseg.pipeline.git import GitState, git_state
from roadseg.scoring.slices import worst_slices

SLICES, QUANTILES = 12, 4
REMEDY = "dvc repro evaluate"


@dataclass(frozen=True)
class Other:
    """A model that the page compares with.

    Attributes:
        name: what people call it, such as `champion, version 3`.
        evaluation: its answers, counted.
        bundle: to predict with; without it only figures are compared.
        val_manifest: digest of the images that it was evaluated on, where it is known.
    """

    name: str
    evaluation: Evaluation
    bundle: Path | None = None
    val_manifest: str | None = None


def write_model_page(tree: Path, out: Path, other: Other | None = None, pictures: bool = True) -> None:
    """Write the page of a tree in which evaluate has run; see `render_model_page`."""
    write_page(out, render_model_page(tree, other, pictures))


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
    bundle, manifest = Bundle.open(tree / paths.BUNDLE), read_manifest(tree / paths.MANIFEST)
    scores = read_scores(tree / paths.EVALUATION)
    evaluation = read_evaluation(tree / paths.EVALUATION)
    rows = manifest.records("val")
    if [row["sample"] for row in rows] != evaluation.images["sample"].to_pylist():
        raise UsageError(f"{tree / paths.EVALUATION} is of other images than the manifest: run `{REMEDY}`")
    before = _same_images(evaluation, other, manifest.digest("val"))
    models = {"prediction": bundle}
    itself = before is not None and _is_itself(evaluation, bundle, before, other)
    if itself:
        before = None  # a column of zeros and every picture twice would show nothing
    elif other and before and other.bundle:
        models[other.name] = Bundle.open(other.bundle)
    origin = Origin(
        bundle.card,
        git_state(tree),
        manifest.digest("val"),
        digest_file(tree / paths.EVALUATION / "confusion.npy"),
        _history(tree / paths.HISTORY),
    )
    shown = predicted(rows, tree / paths.RAW, models, compared_settings(evaluation)) if pictures else None
    return _render(evaluation, scores, other, before, shown, origin, itself)


def write_score_page(
    out: Path, evaluation: Evaluation, scores: dict[str, Any], files: list[tuple[Path, Path]], other: Other | None
) -> None:
    """Write the page of predictions that any tool made.

    Args:
        out: the HTML file.
        evaluation: that of the folders.
        scores: its summary.
        files: prediction and label of each image, in the order of the evaluation.
        other: an evaluation of the same labels to compare with.
    """
    shown = read(files, evaluation.counts.classes)
    write_page(out, _render(evaluation, scores, other, _same_images(evaluation, other, None), shown, None))


@dataclass(frozen=True)
class Origin:
    """Where a model comes from: its card, the commit, digests of val split and evaluation, its training's history."""

    card: dict[str, Any]
    commit: GitState
    val_digest: str
    evaluation: str
    history: pd.DataFrame


def _render(
    evaluation: Evaluation,
    scores: dict[str, Any],
    other: Other | None,
    before: Evaluation | None,
    pictures: Pictures | None,
    origin: Origin | None,
    itself: bool = False,
) -> str:
    groups = choose(evaluation, before) if pictures else []
    least = max(3, len(evaluation.counts) // 50)
    return render(
        "model.html",
        before=None if before is None else mean_iou(before.counts.total().confusion),
        classes=evaluation.counts.classes,
        curves=figures.curves(origin.history) if origin else [],
        examples=list(examples(evaluation, groups, before, pictures)) if pictures else [],
        groups=groups,
        headlines=figures.headlines(scores),
        itself=itself,
        keys=list(CLASS_METRICS),
        matrix=shares(evaluation.counts.total().confusion).tolist(),
        origin=origin,
        other=other,
        reliability=figures.reliability(evaluation),
        rows=figures.class_rows(evaluation, scores, before),
        scores=scores,
        slices=worst_slices(evaluation, SLICES, least=least, quantiles=QUANTILES),
    )


def _is_itself(evaluation: Evaluation, bundle: Bundle, before: Evaluation, other: Other | None) -> bool:
    """Whether the other is this very evaluation of this very model."""
    weights = Bundle.open(other.bundle).card["weights"] if other and other.bundle else None
    return weights == bundle.card["weights"] and np.array_equal(before.counts.confusion, evaluation.counts.confusion)


def _same_images(evaluation: Evaluation, other: Other | None, val_manifest: str | None) -> Evaluation | None:
    """The other evaluation, where it is of the same images and classes: names may stay when files change."""
    if other is None:
        return None
    found = other.evaluation
    if None not in (val_manifest, other.val_manifest) and val_manifest != other.val_manifest:
        return None
    same = found.images["sample"].equals(evaluation.images["sample"])
    return found if same and found.counts.classes == evaluation.counts.classes else None


def _history(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError):  # not pulled: a page about an evaluation can do without
        return pd.DataFrame({name: [] for name in figures.CURVES})
