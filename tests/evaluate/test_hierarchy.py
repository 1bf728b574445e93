from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.confusion import confusion, iou
from roadseg.evaluate.hierarchy import fold_classes, folded_iou, important_classes, parents, safe_iou, tree_distance

IDS = st.one_of(st.integers(0, 25), st.just(255))
LEVEL1_OF_LEVEL3 = [0] * 2 + [1] * 2 + [2] * 2 + [3] * 7 + [4] * 9 + [5] * 3 + [6]  # of the authors' label table
LEVEL2_OF_LEVEL3 = [0, 1, 2, 3, 4, 5, 6, 6, 7, 7, 8, 8, 8, 9, 9, 10, 10, 11, 11, 11, 12, 12, 13, 13, 14, 15]


@pytest.mark.parametrize(("level", "expected"), [("idd-level1", LEVEL1_OF_LEVEL3), ("idd-level2", LEVEL2_OF_LEVEL3)])
def test_the_parents_are_those_of_the_authors_label_table(
    idd_level3: ClassTable, level: str, expected: list[int]
) -> None:
    found = parents(idd_level3, level)
    assert found is not None
    assert found.tolist() == expected


@pytest.mark.parametrize("level", ["idd-level1", "idd-level2"])
@given(pair=arrays(np.uint8, (2, 5, 8), elements=IDS))
def test_folding_is_relabelling_first(idd_level3: ClassTable, level: str, pair: np.ndarray) -> None:
    parent, coarse = parents(idd_level3, level), ClassTable.find(level)
    assert parent is not None
    relabel = np.full(256, 255, np.uint8)
    relabel[:26] = parent
    first = confusion(*relabel[pair], coarse.count)
    np.testing.assert_array_equal(fold_classes(confusion(*pair, 26), parent), first)
    np.testing.assert_array_equal(folded_iou(confusion(*pair, 26), idd_level3, level), iou(first))


def test_level_2_folds_to_level_1_and_nothing_folds_upward() -> None:
    assert parents(ClassTable.find("idd-level2"), "idd-level1") is not None
    for fine in ("idd-level1", "idd-level2"):
        assert folded_iou(np.zeros((7, 8)), ClassTable.find("idd-level1"), fine) is None


def test_a_class_whose_labels_lie_in_several_coarser_ones_does_not_fold(own_size: Callable[[int], ClassTable]) -> None:
    assert parents(ClassTable.find("road"), "idd-level1") is None
    assert parents(own_size(9), "idd-level1") is None


def test_distances_are_those_of_the_label_tree(idd_level3: ClassTable) -> None:
    distance, ids = tree_distance(idd_level3), {name: number for number, name in enumerate(idd_level3.names)}
    assert [distance[ids["car"], ids[other]] for other in ("car", "autorickshaw", "bus", "road")] == [0, 1, 2, 3]
    assert distance[ids["person"], ids["rider"]] == 2
    np.testing.assert_array_equal(distance, distance.T)


def test_important_are_the_traffic_participants_of_idd_aw(idd_level3: ClassTable) -> None:
    chosen = [name for name, yes in zip(idd_level3.names, important_classes(idd_level3), strict=True) if yes]
    assert chosen == ["person", "rider", "motorcycle", "bicycle", "autorickshaw", "car", "truck", "bus"]


def test_a_table_without_important_classes_has_no_safe_iou(own_size: Callable[[int], ClassTable]) -> None:
    assert safe_iou(np.ones((3, 4)), own_size(3)) is None
    assert safe_iou(np.ones((2, 3)), ClassTable.find("road")) is None


def slowly(matrix: np.ndarray) -> list[float]:
    """The published formula at level 3 with its groups written out, class by class."""
    important, values = range(4, 12), []
    for c in range(26):
        penalty = 0.0
        for s in range(26):
            if s == c or not (c in important or s in important):
                continue
            if LEVEL2_OF_LEVEL3[c] == LEVEL2_OF_LEVEL3[s]:
                penalty += matrix[c, s] / 3
            elif LEVEL1_OF_LEVEL3[c] == LEVEL1_OF_LEVEL3[s]:
                penalty += 2 * matrix[c, s] / 3
            else:
                penalty += matrix[c, s]
        union = matrix[c].sum() + matrix[:, c].sum() - matrix[c, c]
        values.append((matrix[c, c] - penalty) / union if union else np.nan)
    return values


@given(arrays(np.int64, (26, 27), elements=st.one_of(st.just(0), st.integers(0, 50))))
def test_the_safe_iou_is_the_published_formula(idd_level3: ClassTable, matrix: np.ndarray) -> None:
    found = safe_iou(matrix, idd_level3)
    assert found is not None
    np.testing.assert_allclose(found, slowly(matrix), rtol=0, atol=1e-12)


def test_a_person_taken_for_road_costs_more_than_one_taken_for_a_rider(idd_level3: ClassTable) -> None:
    road, person, rider, wall = (idd_level3.names.index(name) for name in ("road", "person", "rider", "wall"))
    found = []
    for wrong in (rider, road):
        matrix = np.zeros((26, 27), np.int64)
        matrix[person, person], matrix[person, wrong] = 50, 50
        values = safe_iou(matrix, idd_level3)
        assert values is not None
        found.append(values[person])
    assert found == pytest.approx([0.5 - 0.5 * 2 / 3, 0.5 - 0.5])
    matrix = np.zeros((26, 27), np.int64)
    matrix[wall, wall], matrix[wall, road] = 50, 50
    values = safe_iou(matrix, idd_level3)
    assert values is not None
    assert values[wall] == 0.5  # nobody is hurt
