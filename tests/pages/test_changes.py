from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged import sample_row

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.manifest import Manifest, from_rows
from roadseg.pages.changes import compare

LEVEL1 = ClassTable.find("idd-level1")
VERSIONS = st.dictionaries(st.sampled_from("abcdef"), st.tuples(*[st.sampled_from(["x", "y", None])] * 2))


def scan(rows: list[dict[str, Any]], classes: ClassTable = LEVEL1) -> Manifest:
    return from_rows(rows, "idd-lite", classes)


def version(digests: dict[str, tuple[str | None, str | None]]) -> Manifest:
    return scan([sample_row("train", "a", name, image_sha=i, mask_sha=m) for name, (i, m) in digests.items()])


@given(VERSIONS, VERSIONS)
def test_each_difference_is_named_once_and_nothing_else(before: Any, now: Any) -> None:
    changes, both = compare(version(before), version(now)), before.keys() & now.keys()
    assert changes.added == sorted(f"train/a/{name}" for name in now.keys() - before.keys())
    assert changes.removed == sorted(f"train/a/{name}" for name in before.keys() - now.keys())
    assert changes.images == sorted(f"train/a/{name}" for name in both if before[name][0] != now[name][0])
    assert changes.masks == sorted(f"train/a/{name}" for name in both if before[name][1] != now[name][1])


def test_the_largest_move_of_a_share_comes_first() -> None:
    before = scan([sample_row("train", "a", "0", class_pixels=[50, 30, 20, 0, 0, 0, 0, 7])])
    now = scan([sample_row("train", "a", "0", class_pixels=[50, 10, 40, 0, 0, 0, 0, 900])])
    first, second, third, *_ = compare(before, now).moves
    assert {first.name, second.name} == {"non-drivable", "living-things"}
    assert [abs(move.now - move.before) for move in (first, second)] == [pytest.approx(0.2)] * 2
    assert third.now == third.before, "void takes no part"


def test_versions_with_other_tables_are_compared_by_the_names_they_share() -> None:
    before = scan([sample_row("val", "a", "0", class_pixels=[1, 3, 0])], ClassTable.find("road"))
    now = scan([sample_row("val", "a", "0")])
    names = set(ClassTable.find("road").names) & set(LEVEL1.names)
    assert {move.name for move in compare(before, now).moves} == names
