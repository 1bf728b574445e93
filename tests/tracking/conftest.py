import shutil
import warnings
from pathlib import Path
from typing import NamedTuple

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput

from roadseg.contracts.files import home
from roadseg.tracking import publish as module
from roadseg.tracking.follow import send_unsent
from roadseg.tracking.publish import publish
from roadseg.tracking.published import Published
from roadseg.tracking.store import connect


@pytest.fixture
def client(empty_store: Path) -> MlflowClient:
    """The embedded store in this test's own home."""
    (home() / "mlflow").mkdir(parents=True)
    shutil.copy2(empty_store, home() / "mlflow")
    return connect()


class Place(NamedTuple):
    """A checkout in which everything has run, what came of publishing it twice, and the home it was published to."""

    tree: Path
    home: Path
    published: list[Published]


@pytest.fixture(scope="session")
def place(finished: Path, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Followed live, then published twice; read it only."""
    folder = tmp_path_factory.mktemp("published")
    tree = Path(shutil.copytree(finished, folder / "tree", symlinks=True))
    shutil.copytree(tree / ".roadseg/runs", folder / "home/runs", ignore=shutil.ignore_patterns("sent*", "pictured"))
    (folder / "home/mlflow").mkdir()
    shutil.copy2(empty_store, folder / "home/mlflow")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="mlflow")  # importing its models warns of its own type hints
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("ROADSEG_HOME", str(folder / "home"))
        patch.chdir(tree)
        for run in (folder / "home/runs").iterdir():
            assert send_unsent(run)
        return Place(tree, folder / "home", [publish(tree) for _ in range(2)])


@pytest.fixture
def light_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """A logged model without files: logging one takes seconds, and these tests are about the rest."""

    def log(_: Path, name: str) -> str:
        client, run = connect(), mlflow.active_run().info
        model = client.create_logged_model(run.experiment_id, name, run.run_id)
        client.log_outputs(run.run_id, [LoggedModelOutput(model.model_id, 0)])
        client.finalize_logged_model(model.model_id, "READY")
        return str(model.model_id)

    monkeypatch.setattr(module, "log_model", log)
