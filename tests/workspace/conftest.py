"""The tiny project that all tests of the workspace start from."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from trees import commit, run
from workspace_project import RESULTS, git, make_project

from roadseg.workspace.lock import Holder


@pytest.fixture(scope="session")
def tiny(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The project as it starts; copy it."""
    return made_once("tiny", make_project)


@pytest.fixture
def project(tmp_path: Path, tiny: Path) -> Path:
    """A checkout of its own, without a remote."""
    return Path(shutil.copytree(tiny, tmp_path / "project", symlinks=True))


@pytest.fixture(scope="session")
def tiny_with_results(made_once: Callable[[str, Callable[[Path], None]], Path], tiny: Path) -> Path:
    """The project with the results of a run on branch `RESULTS`; copy it."""

    def make(tree: Path) -> None:
        shutil.copytree(tiny, tree, symlinks=True)
        git(tree, "switch", "-q", "-c", RESULTS)
        run(tree, "dvc", "repro", "-q")
        commit(tree, "results")
        git(tree, "switch", "-q", "main")
        (tree / "data/scan.parquet").unlink()

    return made_once("tiny-with-results", make)


@pytest.fixture
def after_a_run(tmp_path: Path, tiny_with_results: Path) -> Path:
    """A checkout of its own, with the results of a run on branch `RESULTS`."""
    return Path(shutil.copytree(tiny_with_results, tmp_path / "project", symlinks=True))


@pytest.fixture
def remote(tmp_path: Path, project: Path) -> Path:
    """A bare repository that the project's branch main follows."""
    bare = tmp_path / "remote.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", str(bare))
    git(project, "remote", "add", "origin", str(bare))
    git(project, "push", "-q", "-u", "origin", "main")
    return bare


@pytest.fixture
def me() -> Holder:
    return Holder("0123456789", "retrain, weekly", os.getpid(), 0.0)
