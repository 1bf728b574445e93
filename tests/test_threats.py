"""Each defence that docs/threats.md names has its test."""

import ast
import re

from trees import ROOT

TEXT = (ROOT / "docs/threats.md").read_text()


def test_every_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TEXT)
    assert len(named) > 15
    for path, function in named:
        tree = ast.parse((ROOT / path).read_text())
        there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
        assert there, path
        assert not function or function in there, f"{path}::{function}"


def test_every_defence_names_one() -> None:
    defences = re.findall(r"^- \*\*.*?(?=^- \*\*|^\n|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert len(defences) > 15
    assert [each for each in defences if "`tests/" not in each] == []
