"""What a pull request is told of two evaluations."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from roadseg.contracts.errors import UsageError
from roadseg.contracts.evaluation import Counts, Evaluation, read_evaluation
from roadseg.gate.difference import class_ious, overlaps
from roadseg.pages.compared import comparison_markdown


@pytest.fixture
def ours(finished: Path) -> Evaluation:
    found = read_evaluation(finished / "reports/evaluation")
    names = [f"drive {number}" for number in range(len(found.images))]
    column = found.images.schema.get_field_index("drive")
    return replace(found, images=found.images.set_column(column, "drive", [names]))


def worse(found: Evaluation, share: float) -> Evaluation:
    """The same answers with a share of the right pixels of each class and image given to another class."""
    confusion = found.counts.confusion.astype(np.int64)
    for index in range(confusion.shape[1]):
        moved = (confusion[:, index, index] * share).astype(np.int64)
        confusion[:, index, index] -= moved
        confusion[:, index, (index + 1) % confusion.shape[1]] += moved
    counts = Counts(confusion.astype(np.uint32), found.counts.boundary, found.counts.reliability, found.counts.classes)
    return replace(found, counts=counts)


def test_the_difference_is_that_of_the_counts_and_its_sign_is_ours_less_theirs(ours: Evaluation) -> None:
    theirs = worse(ours, 0.5)
    said = comparison_markdown(ours, theirs, "main")
    now, before = (np.nanmean(class_ious(overlaps(each.counts.confusion).sum(0))) for each in (ours, theirs))
    assert f"## Mean IoU {now:.4f}, {now - before:+.4f} (" in said
    assert "Surely better." in said
    assert "**Surely worse.**" in comparison_markdown(theirs, ours, "main")
    assert "cannot tell" in comparison_markdown(ours, ours, "main")
    assert said.count("\n| ") == 1 + ours.counts.classes.count


def test_scores_that_mean_different_things_are_not_compared(ours: Evaluation) -> None:
    other = {**(ours.settings or {}), "flip": "another"}
    with pytest.raises(UsageError, match=r"main cannot be compared: .*over different data"):
        comparison_markdown(ours, replace(ours, val_manifest="f" * 64), "main")
    with pytest.raises(UsageError, match="evaluated otherwise: flip"):
        comparison_markdown(ours, replace(ours, settings=other), "main")
