import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from trees import ROOT, commit
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.doctor.finding import Finding


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small checkout in which nothing has run, the current folder."""
    folder = tmp_path / "tree"
    (folder / ".dvc/cache").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "data/raw.dvc").touch()
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc")
    commit(folder, "start")
    monkeypatch.chdir(folder)
    for variable in ("ROADSEG_WORKERS", "PREFECT_PORT", "MLFLOW_PORT"):
        monkeypatch.delenv(variable, raising=False)
    return folder


@pytest.fixture
def examined(checkout: Path) -> Callable[[], tuple[dict[str, Finding], int]]:
    """What the verb says of that checkout, by name, and its exit code."""

    def ask() -> tuple[dict[str, Finding], int]:
        done = CliRunner().invoke(app, ["doctor", "--json"])
        answer = json.loads(done.output)
        assert answer["stops"] == (done.exit_code != 0)
        return {found["name"]: Finding(**found) for found in answer["findings"]}, done.exit_code

    return ask
