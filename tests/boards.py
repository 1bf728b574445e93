"""A repository with two models in its registry, and runs of the deployments that decide about them."""

import hashlib
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from contenders import BETTER, GOOD, Contenders, change_policy, val_tree
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from servers import ask as http
from trees import ROOT, run

from flows.promote import promote
from flows.services import alive
from roadseg.contracts.files import home
from roadseg.registry import ledger, question
from roadseg.registry.versions import CHAMPION, version_at
from roadseg.tracking.store import connect

YES = {"decision": "promote", "reason": "looks right at night", "approver": "bea"}


def kept_by_dvc(tree: Path) -> None:
    """Put data/ into DVC's cache and name it in dvc.lock, as DVC would; nothing else of it stays."""
    objects = tree / ".dvc/cache/files/md5"

    def keep(content: bytes, end: str = "") -> str:
        md5 = hashlib.md5(content).hexdigest() + end
        (objects / md5[:2]).mkdir(parents=True, exist_ok=True)
        (objects / md5[:2] / md5[2:]).write_bytes(content)
        return md5

    files = sorted((tree / "data/raw").iterdir())
    listed = [{"md5": keep(path.read_bytes()), "relpath": path.name} for path in files]
    raw = {"path": "data/raw", "md5": keep(json.dumps(listed).encode(), ".dir")}
    manifest = {"path": "data/manifest.parquet", "md5": keep((tree / "data/manifest.parquet").read_bytes())}
    lock = {"stages": {"scan": {"deps": [raw]}, "validate": {"outs": [manifest]}}}
    (tree / "dvc.lock").write_text(yaml.safe_dump(lock))


class Board:
    """A repository, two models in a registry, and deployments in Prefect."""

    def __init__(self, folder: Path, made: Path, store: Path, prefect: SyncPrefectClient) -> None:
        tree = val_tree(folder / "tree")
        kept_by_dvc(tree)
        shutil.copy2(ROOT / "dvc.yaml", tree)
        for words in (("init", "-q", "-b", "main"), ("add", "params.yaml", "dvc.yaml"), ("commit", "-qm", "begin")):
            run(tree, "git", *words)
        (home() / "mlflow").mkdir(parents=True)
        shutil.copy2(store, home() / "mlflow")
        self.client, self.prefect = connect(), prefect
        self.contenders = Contenders(self.client, tree, made)
        self.flows: dict[UUID, Flow[Any, Any]] = {}
        for favour in (GOOD, BETTER):
            self.enter(favour)
        self.kept = shutil.move(tree / "data", folder / "data")  # what the gate reads is in DVC's cache

    def enter(self, favour: float, scoring: str = "") -> int:
        version = self.contenders.enter(favour, scoring=scoring)
        self.client.log_artifact(self.contenders.entered[version].run_id, str(self.contenders.tree / "dvc.lock"))
        return version

    def policy(self, **changes: Any) -> None:
        change_policy(self.contenders.tree, **changes)
        run(self.contenders.tree, "git", "commit", "-qam", "policy")

    def start(self, flow: Flow[Any, Any] = promote, /, **parameters: Any) -> UUID:
        """A run of the flow's deployment, through its first pass."""
        flow_id = self.prefect.create_flow_from_name(flow.name)
        deployment = self.prefect.create_deployment(flow_id, flow.name)
        made = self.prefect.create_flow_run_from_deployment(deployment, parameters=parameters)
        self.flows[made.id] = flow
        self.go_on(made.id)
        return made.id

    def go_on(self, run_id: UUID) -> FlowRun:
        """A pass in this process, as a worker makes it in one that knows nothing of the pass before."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PREFECT__FLOW_RUN_ID", str(run_id))
            found = self.prefect.read_flow_run(run_id)
            with suppress(Pause):
                run_flow(self.flows[run_id], flow_run=found, parameters=found.parameters, return_type="state")
        os.close(alive._held.pop(str(run_id)))  # as the kernel does when that process ends
        return self.prefect.read_flow_run(run_id)

    def answer(self, run_id: UUID, **fields: str) -> str:
        """Give an answer as the page does; what the server says of it."""
        url = f"{self.prefect.api_url}flow_runs/{run_id}/resume"
        return str(http(str(url), {"run_input": fields})["status"])

    def told(self) -> list[tuple[str, str, str | None]]:
        """Kind, decision and answer of each entry of the ledger, the oldest first."""
        entries = reversed(ledger.ledger_entries(self.client))
        return [(each.kind, each.tags["decision"], each.tags.get(question.ANSWER)) for each in entries]

    @property
    def champion(self) -> int | None:
        return version_at(self.client, CHAMPION)

    def form(self, run_id: UUID, part: str) -> str:
        """A part of the form of a run that asks: description, or schema."""
        state = self.prefect.read_flow_run(run_id).state
        assert state
        keys = state.state_details.run_input_keyset
        assert keys
        return str(http(f"{self.prefect.api_url}flow_runs/{run_id}/input/{keys[part]}"))
