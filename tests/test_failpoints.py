"""Each failpoint of import, scan, preprocess and promotion is in the list that a test kills at."""

import re

import pytest
from trees import ROOT

from roadseg.contracts.files import REPLACING
from roadseg.intake import places
from roadseg.intake.inbox import take
from roadseg.preprocess import encode, stage, store
from roadseg.registry import alias
from roadseg.scan import remember

LISTED = {
    *places.FAILPOINTS,
    *take.FAILPOINTS,
    *remember.FAILPOINTS,
    *encode.FAILPOINTS,
    *stage.FAILPOINTS,
    *store.FAILPOINTS,
    *alias.FAILPOINTS,
}


@pytest.mark.parametrize("package", ["intake", "scan", "preprocess", "registry"])
def test_every_named_place_is_listed(package: str) -> None:
    files = (ROOT / "src/roadseg" / package).rglob("*.py")
    named = {name for file in files for name in re.findall(r'\bfailpoint\("([^"]+)"\)', file.read_text())}
    assert named
    assert named <= LISTED


def test_every_step_of_replacing_a_file_is_listed() -> None:
    found = re.findall(r'\bfailpoint\(f"\{path.name\}:(\w+)"\)', (ROOT / "src/roadseg/contracts/files.py").read_text())
    assert found == list(REPLACING)
