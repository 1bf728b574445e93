import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from served import Served, copy_store, enter, network, serving, shifted

from roadseg.contracts.bundle import Bundle
from roadseg.registry.versions import CHAMPION, MODEL


@dataclass(frozen=True)
class Champion:
    """A server that follows a registry of its own, in which version 1 is champion, and the versions' bundles."""

    served: Served
    client: MlflowClient
    bundles: dict[int, Bundle]
    home: Path

    def promote(self, version: int) -> None:
        self.client.set_registered_model_alias(MODEL, CHAMPION, str(version))


@pytest.fixture(scope="session")
def champion(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Champion]:
    folder = tmp_path_factory.mktemp("serving")
    home = folder / "home"
    address = copy_store(empty_store, home)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="mlflow")  # importing its models warns of its own type hints
        patch.setenv("ROADSEG_HOME", str(home))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        from roadseg.tracking.store import connect

        client = connect()
        made = [network(folder / "1"), shifted(folder / "2", 1), shifted(folder / "3", 2)]
        bundles = {enter(client, bundle): bundle for bundle in made}
        client = MlflowClient(address)
        client.set_registered_model_alias(MODEL, CHAMPION, "1")
    shadow = ["--shadow", "candidate", "--shadow-share", "1"]
    keep = ["--keep", str(folder / "frames"), "--keep-rate", "1", "--keep-cap", "1"]
    with serving(folder, *shadow, *keep, home=home) as served:
        yield Champion(served, client, bundles, home)
