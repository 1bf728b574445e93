"""Hands without a worker: every run is worked off in this process, one after the other."""

from contextlib import chdir, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from servers import ask

from flows.ingest import ingest
from flows.promote import promote
from flows.retrain import retrain

FLOWS: dict[str, Flow[Any, Any]] = {"ingest": ingest, "promote": promote, "retrain": retrain}


class Inline:
    """Deployments on a server, and what a worker does for them."""

    def __init__(self, tree: Path, prefect: SyncPrefectClient) -> None:
        self.tree, self.prefect, self._due = tree, prefect, list[tuple[str, UUID]]()

    @property
    def api(self) -> str:
        return str(self.prefect.api_url).rstrip("/")

    def start(self, deployment: str, **parameters: Any) -> str:
        flow = self.prefect.create_flow_from_name(deployment)
        made = self.prefect.create_deployment(flow, deployment)
        run = self.prefect.create_flow_run_from_deployment(made, parameters=parameters)
        self._due.append((deployment, run.id))
        return str(run.id)

    def settle(self) -> None:
        while self._due:
            deployment, run = self._due.pop(0)
            with chdir(self.tree), pytest.MonkeyPatch.context() as patch, suppress(Pause):
                patch.setenv("PREFECT__FLOW_RUN_ID", str(run))
                found = self.prefect.read_flow_run(run)
                run_flow(FLOWS[deployment], flow_run=found, parameters=found.parameters, return_type="state")

    def settle_new_data(self) -> None:
        """Start what the trigger starts, which a test of its own tries."""
        self.start("retrain", reason="the data changed", requester="roadseg.dataset.town")
        self.settle()

    def answer(self, run: str, **fields: str) -> None:
        assert ask(f"{self.api}/flow_runs/{run}/resume", {"run_input": fields})["status"] == "ACCEPT"
