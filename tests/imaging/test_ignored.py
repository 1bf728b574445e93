"""Whether 255 is void where a table leaves that to the masks."""

import pytest
import yaml

from roadseg.contracts.classes import VOID, ClassTable, built_in
from roadseg.imaging.ignored import doubtful


def test_only_tables_that_come_with_roadseg_leave_it_to_the_masks() -> None:
    left = [name for name in built_in() if doubtful(ClassTable.find(name))]
    assert left == ["road"]
    entry = doubtful(ClassTable.find("road"))
    assert entry is not None
    assert VOID in entry.values
    other = ClassTable.find("road").content | {"name": "mine"}
    assert doubtful(ClassTable.model_validate(other)) is None


def test_no_table_is_read_again_for_each_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [ClassTable.find(name) for name in built_in()]
    for table in tables:
        doubtful(table)

    def read(_: object) -> None:
        raise AssertionError("a table was read")

    monkeypatch.setattr(yaml, "safe_load", read)
    for table in tables:
        doubtful(table)
