"""`roadseg people add`, by the administrator and by others."""

import time
import warnings

import pytest
from mlflow import MlflowException
from team_stack import Stack, client_as
from typer.testing import CliRunner, Result

from roadseg.cli.app import app
from roadseg.contracts.errors import UsageError


def add(name: str, part: str, password: str) -> Result:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CliRunner().invoke(app, ["people", "add", name, "--as", part], input=f"{password}\n")


def test_the_administrator_lets_people_in_and_changes_their_part(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    client_as(stack, "admin", monkeypatch)
    name, password, tag = f"p{time.time_ns()}", "of-the-tests-only", {"name": "roadseg", "key": "a", "value": "b"}
    setting = f"{stack.mlflow}/api/2.0/mlflow/registered-models/set-tag"
    for part, said, status in (
        ("trainer", "is trainer now", 200),
        ("trainer", "is trainer now", 200),  # once more, as at each start of the containers' server
        ("gate", "is gate now", 200),
        ("reader", "with the password that it had", 403),
        ("gate", "is gate now", 200),
    ):
        done = add(name, part, password)
        assert (done.exit_code, said in done.output) == (0, True), done.output
        assert password not in done.output
        assert stack.ask(setting, "POST", f"{name}:{password}", tag) == status


def test_others_and_short_passwords_are_refused(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    client_as(stack, "trainer", monkeypatch)
    assert isinstance(add("another", "gate", "of-the-tests-only").exception, MlflowException)
    short = add("another", "reader", "short")
    assert isinstance(short.exception, UsageError)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    without = add("another", "reader", "of-the-tests-only")
    assert "logins are a server's" in str(without.exception)
