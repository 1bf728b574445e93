"""Evidence on two models, made so that it is known by how much one is better."""

from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.gate import POLICY, evidence
from roadseg.contracts.classes import ClassTable
from roadseg.gate.evidence import Evidence
from roadseg.gate.policy import Policy

VALUES = POLICY.model_dump()


def policy(**changes: Any) -> Policy:
    """The project's own, with some keys changed."""
    return Policy(**VALUES | changes)


def models(added: float = 0.3, images: int = 150) -> tuple[Evidence, Evidence]:
    """Candidate and champion; at 0.3 the candidate's mIoU is better by 0.05, at 0 the two are alike."""
    return evidence(images, 7, added=added)


def with_confusion(model: Evidence, confusion: np.ndarray) -> Evidence:
    assert model.evaluation
    counts = replace(model.evaluation.counts, confusion=confusion)
    return replace(model, evaluation=replace(model.evaluation, counts=counts))


def losing(model: Evidence, rows: np.ndarray | slice, share: float, number: int | None = None) -> Evidence:
    """The model, where in some images that share of its right pixels, of one class or all, went to void."""
    assert model.evaluation
    confusion = model.evaluation.counts.confusion.astype(np.int64)
    for k in range(confusion.shape[1]) if number is None else (number,):
        lost = (share * confusion[rows, k, k]).astype(np.int64)
        confusion[rows, k, k] -= lost
        confusion[rows, k, -1] += lost
    return with_confusion(model, confusion.astype(np.uint32))


def of_table(model: Evidence, **changes: Any) -> Evidence:
    """The model with every class of its table changed."""
    assert model.evaluation
    content = model.evaluation.counts.classes.content
    table = ClassTable.model_validate(content | {"classes": [entry | changes for entry in content["classes"]]})
    return replace(model, evaluation=replace(model.evaluation, counts=replace(model.evaluation.counts, classes=table)))
