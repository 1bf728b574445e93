"""Scores that know which classes are kin: coarser levels of the label hierarchy, and the safe IoU."""

from functools import lru_cache

import numpy as np

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.confusion import iou

LEVELS = ("idd-level2", "idd-level1")  # from fine to coarse
ROAD_USERS = {"living-things", "vehicles"}
# the important classes of IDD-AW's evaluation kit; animals and the vehicle fallback are not among them
TRAFFIC = {"person", "rider", "motorcycle", "bicycle", "autorickshaw", "car", "truck", "bus"}


def parents(classes: ClassTable, coarser: str) -> np.ndarray | None:
    """The class of a built-in table in which each class lies, int64 (K,).

    None where the table is no coarser, or where the labels of one class lie in several of its classes.
    """
    table = _built_in(coarser)
    if table.count >= classes.count:
        return None
    homes = [{table.id_of_label.get(label) for label in entry.labels} for entry in classes.classes]
    if any(len(home) != 1 or not home <= set(range(table.count)) for home in homes):
        return None
    return np.array([home.pop() for home in homes], np.int64)


def fold_classes(matrix: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """Add up the rows and columns of classes that have one parent; the same as relabelling both masks first.

    Args:
        matrix: (..., K, K + 1), pixels.
        parent: int (K,), from 0.

    Returns:
        float64 (..., P, P + 1) for P parents, whole numbers.
    """
    count = int(parent.max()) + 1
    into = np.zeros((len(parent) + 1, count + 1))
    into[np.arange(len(parent)), parent] = into[-1, -1] = 1
    return np.asarray(into[:-1, :-1].T @ matrix @ into)


def folded_iou(matrix: np.ndarray, classes: ClassTable, coarser: str) -> np.ndarray | None:
    """IoU of each class of a coarser built-in table, (..., P); None where the classes do not fold into it."""
    parent = parents(classes, coarser)
    return None if parent is None else iou(fold_classes(matrix, parent))


def safe_iou(matrix: np.ndarray, classes: ClassTable) -> np.ndarray | None:
    """IoU less a penalty for dangerous confusions, which grows with their distance in the hierarchy.

    (|gt_c & pred_c| - sum over s of d(c, s) / n * |gt_c & pred_s|) / |gt_c | pred_c|, with s over all other classes
    where c is important, else over the important ones; d is half the path between two leaves of the hierarchy and n
    its levels. So a person taken for road loses 3/3 of its pixels again, one taken for a rider 2/3, and what is no road
    user loses only what is taken for one.

    Args:
        matrix: (..., K, K + 1), pixels.
        classes: important are `protected` classes and IDD's traffic participants.

    Returns:
        float64 (..., K), -1..1; NaN for a class absent from truth and prediction. None where no class is important.

    Source: Shaik et al., "IDD-AW: A Benchmark for Safe and Robust Segmentation of Drive Scenes in Unstructured Traffic
    and Adverse Weather", WACV 2024, as its evaluation kit computes it at level 3. Ours, not theirs: at levels 1 and 2
    the same formula with n = 1 and 2; void in a prediction costs as in the official IoU, without a further penalty.
    """
    important = important_classes(classes)
    if not important.any():
        return None
    distance = tree_distance(classes)
    weights = distance / distance.max() * (important[:, None] | important)
    known = matrix[..., :-1].astype(np.float64)
    hit = np.diagonal(known, axis1=-2, axis2=-1)
    union = matrix.sum(-1) + known.sum(-2) - hit
    safe = hit - (known * weights).sum(-1)
    return np.asarray(np.divide(safe, union, out=np.full(hit.shape, np.nan), where=union > 0))


def tree_distance(classes: ClassTable) -> np.ndarray:
    """Half the path between two classes in the hierarchy, int64 (K, K): 0 for the same, 1 for siblings.

    The levels above the table are those of IDD that it folds into, else its `group`s.
    """
    above = [parent for level in LEVELS if (parent := parents(classes, level)) is not None]
    groups = np.unique([entry.group or entry.name for entry in classes.classes], return_inverse=True)[1]
    if not above and 0 < groups.max() < classes.count - 1:
        above = [groups]
    apart = [parent[:, None] != parent for parent in (np.arange(classes.count), *above)]
    return np.asarray(np.sum(apart, axis=0))


def important_classes(classes: ClassTable) -> np.ndarray:
    """Which classes are protected or hold IDD's traffic participants and nothing but road users, bool (K,)."""
    kind = {label: entry.group for entry in _built_in("idd-level1").classes for label in entry.labels}
    return np.array(
        [
            entry.protected
            or (bool(TRAFFIC & set(entry.labels)) and all(kind.get(label) in ROAD_USERS for label in entry.labels))
            for entry in classes.classes
        ]
    )


@lru_cache
def _built_in(name: str) -> ClassTable:
    return ClassTable.find(name)
