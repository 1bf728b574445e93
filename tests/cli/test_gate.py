from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.gate.decision import Decision, Judged

PAGE = "  and 3 more: see reports/decision.html, or reports/decision.json"


@pytest.mark.parametrize(("number", "last"), [(6, "  reason 5"), (9, PAGE)])
def test_many_reasons_are_left_to_the_page(number: int, last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = tuple(f"reason {one}" for one in range(number))
    decision = Decision("REJECT", reasons, Judged(7, "a" * 64, "b" * 64, 0.5), None)
    monkeypatch.setattr("roadseg.registry.promote.promote", Mock(return_value=decision))
    done = CliRunner().invoke(app, ["promote"])
    lines = done.output.splitlines()
    assert (done.exit_code, lines[0], lines[6], lines[-1]) == (4, "REJECT version 7", "  reason 5", last)
