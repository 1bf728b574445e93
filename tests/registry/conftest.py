import pickle
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from contenders import Contenders, score_here, val_tree
from mlflow import MlflowClient

from roadseg.contracts.files import home
from roadseg.registry import decision_page, rollback
from roadseg.registry.evidence import gather, query, rescore
from roadseg.registry.versions import register
from roadseg.tracking.publish import publish
from roadseg.tracking.published import Published, evaluation_key
from roadseg.tracking.store import connect


class Sent(NamedTuple):
    """A checkout in which everything has run, the database it was published to, and what came of it."""

    tree: Path
    database: Path
    published: Published


@pytest.fixture(scope="session")
def sent(finished: Path, made_once: Callable[[str, Callable[[Path], None]], Path]) -> Sent:
    """Read it only."""

    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="mlflow")  # importing its models warns of its own type hints
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            patch.setenv("ROADSEG_HOME", str(folder / "home"))
            patch.setenv("ROADSEG_PICTURES", "off")
            published = publish(finished)
        (folder / "published").write_bytes(pickle.dumps(published))

    folder = made_once("sent", make)
    return Sent(finished, folder / "home/mlflow/mlflow.db", pickle.loads((folder / "published").read_bytes()))


@pytest.fixture
def client(sent: Sent) -> MlflowClient:
    """A store of this test's own, in which one training is published and nothing registered."""
    (home() / "mlflow").mkdir(parents=True)
    shutil.copy2(sent.database, home() / "mlflow")
    (home() / "mlflow/artifacts").symlink_to(sent.database.with_name("artifacts"))
    return connect()


@pytest.fixture
def enter(client: MlflowClient, sent: Sent) -> Callable[..., int]:
    """Register the published training, or another of the same run with a score or a val manifest of its own."""

    def register_one(miou: float | None = None, **changes: str) -> int:
        if miou is None and not changes:
            return register(sent.published)
        evaluation = f"{len(client.search_model_versions('')):08}" + "e" * 56
        if miou is not None:
            client.log_metric(sent.published.run_id, evaluation_key(evaluation, "miou"), miou)
        return register(replace(sent.published, evaluation=evaluation, **changes))  # type: ignore[arg-type]

    return register_one


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contenders")


@pytest.fixture
def judged_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tree = val_tree(tmp_path / "tree")
    monkeypatch.chdir(tree)
    return tree


@pytest.fixture
def contenders(empty_store: Path, judged_tree: Path, made: Path) -> Contenders:
    (home() / "mlflow").mkdir(parents=True)
    shutil.copy2(empty_store, home() / "mlflow")
    return Contenders(connect(), judged_tree, made)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Asks models in this process, which has Keras loaded already; what was asked and scored, in order."""
    said: list[str] = []

    def query_here(bundle: Path, evaluation: Path | None, other: Path | None = None) -> query.Answered:
        said.append("query")
        return query.load_and_ask(bundle, evaluation, other)

    def score_and_say(*arguments: str, **options: Any) -> dict[str, Any]:
        said.append("score")
        return score_here(*arguments, **options)

    for module in (gather, rollback):
        monkeypatch.setattr(module, "query", query_here)
    monkeypatch.setattr(rescore, "ask", score_and_say)
    monkeypatch.setattr(decision_page, "ask", lambda *_, **__: None)  # no pictures
    return said
