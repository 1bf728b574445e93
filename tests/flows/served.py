"""A checkout whose deployments stand on a server, for tests that do a worker's work in their own process."""

from contextlib import chdir, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from servers import ask

from flows.retrain import retrain
from roadseg.workspace.records import RunRecord, find_record


class Site(NamedTuple):
    """A checkout whose deployments stand on a server."""

    api: str
    tree: Path
    deployment: str
    pool: str

    @property
    def home(self) -> Path:
        return self.tree / ".roadseg"

    def create(self, **parameters: Any) -> str:
        """Ask for a run, as the form does; its id."""
        return str(ask(f"{self.api}/deployments/{self.deployment}/create_flow_run", {"parameters": parameters})["id"])

    def look(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = ask(f"{self.api}/flow_runs/{run}")
        return found

    def work(self, run: str) -> dict[str, Any]:
        """Do in this process what a worker does in one of its own; the run as it stands then."""
        with chdir(self.tree), pytest.MonkeyPatch.context() as patch:
            patch.setenv("ROADSEG_HOME", str(self.home))
            patch.setenv("ROADSEG_POOL", self.pool)
            with get_client(sync_client=True) as client:
                found: FlowRun = client.read_flow_run(run)
            with suppress(Pause):  # it is back in the queue
                run_flow(retrain, flow_run=found, parameters=found.parameters, return_type="state")
        return self.look(run)

    def record(self, run: str) -> RunRecord:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ROADSEG_HOME", str(self.home))
            return find_record(run)
