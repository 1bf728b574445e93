import shutil
from pathlib import Path

import pytest
from left_behind import Place
from mlflow.tracking._tracking_service import utils

from roadseg.contracts.files import home
from roadseg.registry.gc import cache


@pytest.fixture
def place(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    (home() / "mlflow").mkdir(parents=True)
    shutil.copy2(empty_store, home() / "mlflow")
    utils._artifact_repos_cache.clear()  # MLflow remembers by run where artifacts lie
    (tmp_path / "tree").mkdir()
    monkeypatch.chdir(tmp_path / "tree")
    monkeypatch.setattr(cache, "dvc", lambda tree, *_: str(tmp_path / "tree/.dvc/cache"))  # asking it takes a second
    return Place(tmp_path / "tree")
