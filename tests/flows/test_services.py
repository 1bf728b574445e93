"""`make up`: servers and a worker as processes of their own, and a run that the schedule started."""

import json
import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from servers import free_port
from trees import ROOT, command_of, run, working_in

STAGES = ["scan", "validate", "preprocess", "train", "evaluate"]


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode() if body is not None else None)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


class Services(NamedTuple):
    """A checkout in which services are up, their ports, and the first run of a flow that ended."""

    tree: Path
    ports: dict[str, str]
    run: dict[str, Any]

    @property
    def prefect(self) -> str:
        return f"http://127.0.0.1:{self.ports['PREFECT_PORT']}/api"


@pytest.fixture(scope="module")
def services(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """A finished checkout, deeper than a socket's path may be long, scheduled each 20 seconds."""
    tree = Path(shutil.copytree(finished, tmp_path_factory.mktemp("a-long-way-down-" * 6) / "tree", symlinks=True))
    path = tree / "prefect.yaml"
    deployment = yaml.safe_load(path.read_text())
    deployment["deployments"][0]["schedules"] = [{"interval": 20}]
    path.write_text(yaml.safe_dump(deployment))
    ports = {name: str(free_port()) for name in ("PREFECT_PORT", "MLFLOW_PORT")}
    said = run(tree, "python", "-m", "flows.services", "up", **ports).stdout
    assert f"http://127.0.0.1:{ports['PREFECT_PORT']}" in said
    assert f"http://127.0.0.1:{ports['MLFLOW_PORT']}" in said
    try:
        yield Services(tree, ports, first_ended(tree, ports["PREFECT_PORT"]))
    finally:
        run(tree, "python", "-m", "flows.services", "down", check=False, **ports)


def first_ended(tree: Path, port: str) -> dict[str, Any]:
    wanted = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}}
    while not (ended := ask(f"http://127.0.0.1:{port}/api/flow_runs/filter", wanted)):
        time.sleep(1)
    found: dict[str, Any] = ended[0]
    assert found["state"]["type"] == "COMPLETED", (tree / ".roadseg/services/worker.log").read_text()
    return found


def test_the_flow_right_after_dvc_repro_runs_no_stage_and_says_so(services: Services) -> None:
    tasks = ask(f"{services.prefect}/task_runs/filter", {"flow_runs": {"id": {"any_": [services.run["id"]]}}})
    ended = {task["name"]: (task["state"]["name"], task["state"]["message"]) for task in tasks}
    assert {stage: ended[stage] for stage in STAGES} == dict.fromkeys(STAGES, ("Cached", "nothing changed"))


def test_the_schedule_starts_a_run_that_a_worker_finishes(services: Services) -> None:
    tree, ports, ended = services
    assert ended["auto_scheduled"]
    alias = "registered-models/alias?name=roadseg&alias=champion"
    assert ask(f"http://127.0.0.1:{ports['MLFLOW_PORT']}/api/2.0/mlflow/{alias}")["model_version"]["version"] == "1"
    assert "run already" in run(tree, "python", "-m", "flows.services", "up", check=False, **ports).stderr
    run(tree, "python", "-m", "flows.services", "down", **ports)
    deadline = time.monotonic() + 30
    while working_in(tree) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [command_of(process) for process in working_in(tree)] == []


@pytest.mark.parametrize("pin", ["fastapi<0.151", "sqlalchemy<2.1"])
def test_the_pins_without_which_prefect_breaks_silently_are_there(pin: str) -> None:
    assert f'"{pin}"' in (ROOT / "pyproject.toml").read_text()
