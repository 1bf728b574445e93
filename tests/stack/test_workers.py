"""Two machines with a worker each, on one Prefect and one MLflow of a team, at once."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from team_stack import PREFECT_LOGIN, Stack, client_as
from trees import change_params, commit, run

from roadseg.registry import ledger
from roadseg.registry.versions import CHAMPION, MODEL, version_at

UP, DOWN = (["python", "-m", "flows.services", word] for word in ("up", "down"))
OVER = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def asked(stack: Stack, path: str, body: dict[str, Any] | None = None) -> Any:
    status, said = stack.told(f"{stack.prefect}/{path}", "POST" if body is not None else "GET", PREFECT_LOGIN, body)
    assert status < 300, said
    return json.loads(said)


@pytest.fixture
def machines(stack: Stack, finished_checkout: Path, tmp_path: Path) -> Iterator[list[Path]]:
    """Two checkouts with homes and pools of their own, whose next trainings differ, with only a worker started each."""
    made, gate = [], stack.environment("gate")
    try:
        for seed, name in enumerate(("first", "second")):
            tree = Path(shutil.copytree(finished_checkout, tmp_path / name, symlinks=True))
            shutil.rmtree(tree / ".roadseg")
            change_params(tree, {"train": {"seed": seed}})
            commit(tree, "another seed")
            made.append(tree)
            said = run(tree, *UP, **gate).stdout
            assert "starting a worker ..." in said
            assert not (tree / ".roadseg/mlflow/mlflow.db").exists()
        yield made
    finally:
        for tree in made:
            run(tree, *DOWN, check=False, **gate)


@pytest.mark.soak
def test_two_workers_train_and_register_at_once_and_leave_one_champion(
    stack: Stack, machines: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    client: MlflowClient = client_as(stack, "gate", monkeypatch)
    before = {version.version for version in client.search_model_versions(f"name = '{MODEL}'")}
    wanted = {"flows": {"name": {"any_": ["retrain"]}}}
    deployments = [each for each in asked(stack, "deployments/filter", wanted) if each["name"].startswith("retrain-")]
    assert len(deployments) == len(machines)
    runs = [asked(stack, f"deployments/{each['id']}/create_flow_run", {"parameters": {}})["id"] for each in deployments]
    while {(found := asked(stack, f"flow_runs/{each}"))["state"]["type"] for each in runs} - OVER:
        time.sleep(2)  # Prefect tells nobody; what ends the test is what it says
    states = [asked(stack, f"flow_runs/{each}")["state"] for each in runs]
    assert [state["type"] for state in states] == ["COMPLETED"] * 2, (states, found)
    made = {version.version for version in client.search_model_versions(f"name = '{MODEL}'")} - before
    assert len(made) in (1, 2)  # a test before this one may have registered the first seed's
    champion = version_at(client, CHAMPION)
    assert str(champion) in made | before
    assert ledger.position(client) == champion
    assert not ledger.open_moves(client)
