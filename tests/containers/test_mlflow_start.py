"""MLflow as its container starts it: an old database is brought on, accounts have parts, no password is seen."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient, MlflowException
from mlflow.store.db import utils
from servers import free_port, kill_tree
from trees import ROOT
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.registry.ledger import EXPERIMENT as LEDGER
from roadseg.registry.versions import CHAMPION, MODEL
from roadseg.tracking.store import EXPERIMENT, connect, experiment_id

SCRIPT = ROOT / "docker/start/mlflow_server.py"
PASSWORDS = {name: f"{name}-of-the-tests-only" for name in ("admin", "worker", "server")}
HIDDEN = "of-the-database-of-the-tests"


def environment(folder: Path, port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "AWS_"))}
    accounts = {f"MLFLOW_{name.upper()}_PASSWORD": password for name, password in PASSWORDS.items()}
    return kept | accounts | {
        "TMPDIR": str(folder), "MLFLOW_HOST": "127.0.0.1", "MLFLOW_PORT": str(port),
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/runs.db",
        "MLFLOW_AUTH_DATABASE_URI": f"sqlite:///{folder}/logins.db",
        "MLFLOW_ARTIFACTS_DESTINATION": str(folder / "artifacts"), "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of-the-tests-only", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_SERVER_ALLOWED_HOSTS": "127.0.0.1:*",
    }  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Its address and folder; its database was one migration back."""
    folder = tmp_path_factory.mktemp("mlflow")
    port, runs = free_port(), utils.create_sqlalchemy_engine(f"sqlite:///{folder}/runs.db")
    utils._initialize_tables(runs)
    runs.dispose()
    env = environment(folder, port)
    subprocess.run([sys.executable, ROOT / "docker/test/mlflow_back.py"], env=env, check=True, capture_output=True)
    assert utils._get_schema_version(runs) != utils._get_latest_schema_revision()
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([sys.executable, SCRIPT], env=env, cwd=folder, stdout=log, stderr=log)
    try:
        while not (folder / "ready").exists():
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        assert utils._get_schema_version(runs) == utils._get_latest_schema_revision()
        yield f"http://127.0.0.1:{port}", folder
        process.terminate()
        process.wait(60)  # it passes the signal on
    finally:
        if process.poll() is None:
            kill_tree(process)


def as_(user: str, address: str, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORDS[user])
    return connect()


def test_the_worker_is_a_gate_and_the_server_a_reader_whoever_comes_first(
    server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    as_("admin", server[0], monkeypatch)
    added = CliRunner().invoke(app, ["people", "add", "meera", "--as", "trainer"], input="of-the-tests-only\n")
    assert added.exit_code == 0, added.output
    worker = as_("worker", server[0], monkeypatch)
    for name in (EXPERIMENT, LEDGER):
        run = worker.create_run(experiment_id(worker, name)).info
    version = worker.create_model_version(MODEL, f"{run.artifact_uri}/model", run.run_id).version
    worker.set_registered_model_alias(MODEL, CHAMPION, version)
    reader = as_("server", server[0], monkeypatch)
    assert reader.get_model_version_by_alias(MODEL, CHAMPION).version == version
    with pytest.raises(MlflowException, match="Permission denied"):
        reader.set_registered_model_alias(MODEL, CHAMPION, version)
    with pytest.raises(MlflowException, match="Permission denied"):
        reader.create_run(experiment_id(reader))


def test_no_password_is_an_argument_or_in_the_log(server: tuple[str, Path]) -> None:
    of_it = [each for each in psutil.process_iter() if each.is_running() and cwd(each) == str(server[1])]
    arguments = [" ".join(each.cmdline()) for each in of_it]
    assert any("mlflow server" in each for each in arguments)
    seen = [*arguments, (server[1] / "log").read_text()]
    assert [text for text in seen if any(password in text for password in PASSWORDS.values())] == []
    assert [text for text in arguments if "sqlite://" in text] == []


def cwd(process: psutil.Process) -> str:
    try:
        return process.cwd()
    except psutil.Error:
        return ""


@pytest.mark.parametrize(
    "address", ["postgresql+psycopg://mlflow:{}@127.0.0.1:9/mlflow", "postgresql+nothing://mlflow:{}@127.0.0.1/mlflow"]
)
def test_a_database_that_fails_is_said_without_its_password(tmp_path: Path, address: str) -> None:
    env = environment(tmp_path, free_port()) | {"MLFLOW_BACKEND_STORE_URI": address.format(HIDDEN)}
    done = subprocess.run([sys.executable, SCRIPT], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "error: MLflow's databases: " in done.stderr
    assert HIDDEN not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
