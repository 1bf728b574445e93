"""The steps of docs/team.md that need no server: the commands as they stand there, with a folder in the place of hosts.

What needs servers is run in tests/stack/, with the options and variables that this file compares with the document.
"""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import team_stack
from trees import ROOT, command_environment, run
from typer.testing import CliRunner

from flows.services.environment import SOURCES
from roadseg.cli.app import app

TEXT = (ROOT / "docs/team.md").read_text()
STEPS = dict(re.findall(r"^## (\d)\. .*?\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))


def commands(step: int) -> str:
    return "\n".join(re.findall(r"```sh\n(.*?)```", STEPS[str(step)], re.DOTALL))


def test_code_and_data_reach_another_machine_by_the_first_two_steps(imported: Path, tmp_path: Path) -> None:
    tree = Path(shutil.copytree(imported, tmp_path / "tree", symlinks=True))
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", tmp_path / "origin.git"], check=True)
    script = (commands(1) + commands(2)).replace("git@example.org:team/roads.git", f"file://{tmp_path}/origin.git")
    script = script.replace("s3://roadseg/dvc", str(tmp_path / "bucket"))
    assert "example.org" not in script
    names = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t"}
    done = subprocess.run(
        ["bash", "-euc", script], cwd=tree, env=command_environment(tree, **names), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    run(tree, "git", "push", "-q")
    other = tmp_path / "another machine"
    run(tmp_path, "git", "clone", "-q", str(tmp_path / "origin.git"), str(other))
    run(other, "dvc", "pull", "-q", "data/raw.dvc")
    files = [path for path in (tree / "data/raw").rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert (other / path.relative_to(tree)).read_bytes() == path.read_bytes()


def test_the_servers_of_the_tests_have_every_option_and_variable_that_the_document_names() -> None:
    started = Path(team_stack.__file__).read_text()
    options = set(re.findall(r"--[a-z-]+", commands(3))) - {"--as"}
    assert {"--app-name", "--artifacts-destination"} <= options
    assert "://mlflow:" not in commands(3)  # arguments are seen by everybody on the machine
    assert "`MLFLOW_BACKEND_STORE_URI`" in STEPS["3"]
    variables = set(re.findall(r"`((?:MLFLOW|PREFECT)_[A-Z_]+)`", STEPS["3"])) | {"PREFECT_SERVER_API_AUTH_STRING"}
    for name in [*options, *variables, "PREFECT_API_DATABASE_CONNECTION_URL", "default_permission", "roadseg-auth"]:
        assert name in started, name
    assert SOURCES.replace("|", r"\|") in TEXT


@pytest.mark.parametrize("command", re.findall(r"^roadseg people .*$|roadseg serve.*$", TEXT, re.MULTILINE))
def test_verbs_take_the_arguments_that_the_document_gives_them(command: str) -> None:
    words = [word for word in shlex.split(command) if "=" not in word][1:]
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
