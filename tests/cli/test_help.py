import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.pipeline.runner import STAGES

HEAVY = ("tensorflow", "keras", "jax", "mlflow", "great_expectations", "prefect", "dvc")


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every verb and group by the words that call it; typer brings its own Click, so the types have no name."""
    yield path, command
    for name, verb in getattr(command, "commands", {}).items():
        yield from walk(verb, (*path, name))


TREE = dict(walk(typer.main.get_command(app)))
LEAVES = [path for path, command in TREE.items() if not hasattr(command, "commands")]


def name_of(path: tuple[str, ...]) -> str:
    return " ".join(("roadseg", *path))


def help_of(path: tuple[str, ...]) -> str:
    result = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_the_verbs_of_a_whole_loop_are_there() -> None:
    verbs = {name_of(path).removeprefix("roadseg ") for path in LEAVES}
    assert verbs >= {"data import", "data synthetic", "publish", "register", "promote", "predict", "score", *STAGES}


@pytest.mark.parametrize("path", TREE, ids=name_of)
def test_every_verb_and_group_explains_itself(path: tuple[str, ...]) -> None:
    said = (TREE[path].help or "").strip()
    assert len(said) > 20
    assert said.split()[0] in help_of(path)


@pytest.mark.parametrize("path", LEAVES, ids=name_of)
def test_every_verb_shows_an_example_that_calls_it(path: tuple[str, ...]) -> None:
    before, word, example = help_of(path).partition("Example")
    assert word, before
    assert (f"dvc repro {path[0]}" if path[0] in STAGES else name_of(path)) in example


@pytest.mark.parametrize("path", LEAVES, ids=name_of)
def test_every_option_and_argument_is_explained(path: tuple[str, ...]) -> None:
    unexplained = [parameter.name for parameter in TREE[path].params if not getattr(parameter, "help", None)]
    assert unexplained == []


@pytest.mark.parametrize("path", [(), *LEAVES], ids=name_of)
def test_an_unknown_option_is_a_fault_of_the_command(path: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, [*path, "--no-such-option"]).exit_code == 2


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys; sys.argv = ['roadseg', '--help']; from roadseg.__main__ import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code, ended.code\n"
        f"print('LOADED', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage: " in done.stdout
    assert done.stdout.splitlines()[-1] == "LOADED []"
