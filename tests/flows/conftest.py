import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from middles import make_before

from flows.services.server import prefect_server

if TYPE_CHECKING:
    from boards import Board


@pytest.fixture(scope="session")
def empty_prefect(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """A database of Prefect with its tables and nothing in them: making one takes seconds, copying none."""

    def make(folder: Path) -> None:
        command = ["prefect", "server", "database", "upgrade", "-y"]
        subprocess.run(command, env={**os.environ, "PREFECT_HOME": str(folder)}, capture_output=True, check=True)

    return made_once("prefect", make) / "prefect.db"


@pytest.fixture(scope="module")
def prefect_database(prefect_api: str) -> Path:
    """The database of the module's server: what only Prefect's own services may write can be written here."""
    return Path(os.environ["PREFECT_HOME"]) / "prefect.db"


@pytest.fixture(scope="module")
def prefect_api(empty_prefect: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prefect server of the module's own, which this process talks to."""
    folder = tmp_path_factory.mktemp("prefect")
    shutil.copy2(empty_prefect, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(folder))
        with prefect_server(folder / "server.log") as url:
            yield url


@pytest.fixture(scope="session")
def with_stores(empty_store: Path, empty_prefect: Path) -> Callable[[Path], Path]:
    """Give a checkout the empty databases of MLflow and Prefect."""

    def give(tree: Path) -> Path:
        for database, name in ((empty_store, "mlflow"), (empty_prefect, "prefect")):
            (tree / ".roadseg" / name).mkdir(parents=True, exist_ok=True)
            shutil.copy2(database, tree / ".roadseg" / name)
        return tree

    return give


@pytest.fixture(scope="session")
def before(imported: Path, finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A checkout in which all that comes before a stage has run; made once."""

    @cache
    def made(stage: str) -> Path:
        return make_before(stage, imported, finished, tmp_path_factory.mktemp(stage) / "tree")

    return made


@pytest.fixture
def checkout(checkout: Path, with_stores: Callable[[Path], Path]) -> Path:
    return with_stores(checkout)


@pytest.fixture
def finished_checkout(finished_checkout: Path, with_stores: Callable[[Path], Path]) -> Path:
    return with_stores(finished_checkout)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contenders")


@pytest.fixture
def board(
    empty_store: Path, tmp_path: Path, made: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> "Iterator[Board]":
    from boards import Board  # late, as all that it needs: other tests here load none of it
    from contenders import score_here
    from prefect.client.orchestration import get_client

    from flows import turn
    from roadseg.registry import decision_page
    from roadseg.registry import rollback as rollback_module
    from roadseg.registry.evidence import gather, query, rescore

    monkeypatch.setattr(rescore, "ask", score_here)
    monkeypatch.setattr(decision_page, "ask", lambda *_, **__: None)
    for module in (gather, rollback_module):
        monkeypatch.setattr(module, "query", lambda *paths: query.load_and_ask(*paths, *[None] * (3 - len(paths))))
    monkeypatch.setattr(turn, "SOON", timedelta(milliseconds=1))  # a run that waits is not due before
    (tmp_path / "tree").mkdir()
    monkeypatch.chdir(tmp_path / "tree")
    with get_client(sync_client=True) as prefect:
        yield Board(tmp_path, made, empty_store, prefect)


@pytest.fixture
def asked(board: "Board") -> UUID:
    """A run that asks about version 2; version 1 is champion."""
    board.start(version=1)
    board.policy(approval=True)
    return board.start(version=2, requester="ann", reason="weekly")
