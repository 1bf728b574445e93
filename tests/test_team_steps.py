"""The steps of docs/team.md that need no server: the commands as they stand there, with a folder in the place of hosts.

What needs servers is run in tests/stack/, with the options and variables that this file compares with the document.
"""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import team_stack
from mlflow import MlflowClient
from served import copy_store, enter, picture, shifted, waited
from servers import free_port
from trees import ROOT, command_environment, run
from typer.testing import CliRunner

from flows.services.environment import SOURCES
from roadseg.cli.app import app
from roadseg.contracts.files import home
from roadseg.registry.versions import CHAMPION, MODEL
from roadseg.tracking.store import connect

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


def test_the_fifth_step_serves_the_champion_to_who_has_the_token_alone(
    empty_store: Path, tmp_path: Path, background: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    client = MlflowClient(copy_store(empty_store, home()))
    connect()
    version = enter(client, shifted(tmp_path / "model", 1))
    client.set_registered_model_alias(MODEL, CHAMPION, str(version))
    port, log = free_port(), tmp_path / "serve.log"
    (tmp_path / "street.jpg").write_bytes(picture(1, form="JPEG"))
    start, ask = (each.replace("8000", str(port)) for each in re.findall(r"```sh\n(.*?)```", STEPS["5"], re.DOTALL))
    names = command_environment(tmp_path, ROADSEG_HOME=str(home()), PYTHONPATH=f"{ROOT / 'src'}:{ROOT}")
    with log.open("wb") as opened:
        shell = ["bash", "-euc", start.replace("roadseg serve", "exec roadseg serve")]
        process = background(shell, cwd=tmp_path, env=names, stdout=opened, stderr=opened)
    waited(lambda: "listens at" in log.read_text() or process.poll() is not None)
    names["ROADSEG_SERVE_TOKEN"] = log.read_text().split()[0]
    local = ask.replace("https://masks.example.org", f"http://127.0.0.1:{port}")
    assert local != ask

    def said() -> bytes:
        done = subprocess.run(
            ["bash", "-euc", f"rm -f mask.png; {local}"], cwd=tmp_path, env=names, capture_output=True
        )
        assert done.returncode == 0, (done.stderr, log.read_text())
        return (tmp_path / "mask.png").read_bytes()

    assert waited(lambda: (mask := said())[:8] == b"\x89PNG\r\n\x1a\n" and mask)
    names["ROADSEG_SERVE_TOKEN"] = "another"
    assert b"send the token" in said()
    process.terminate()
    assert process.wait(60) == 0, log.read_text()


@pytest.mark.parametrize("command", re.findall(r"^roadseg people .*$|roadseg serve.*$", TEXT, re.MULTILINE))
def test_verbs_take_the_arguments_that_the_document_gives_them(command: str) -> None:
    words = [word for word in shlex.split(command, comments=True) if "=" not in word][1:]
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
