"""`make up`: servers and a worker as processes of their own, and a run that the schedule started."""

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from servers import free_port
from trees import ROOT, command_of, run, working_in


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode() if body is not None else None)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


@pytest.fixture
def services(finished_checkout: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A checkout, deeper than a socket's path may be long, with its services up, scheduled each 20 seconds."""
    tree = finished_checkout.rename(finished_checkout.with_name("a-long-way-down-" * 6))
    path = tree / "prefect.yaml"
    deployment = yaml.safe_load(path.read_text())
    deployment["deployments"][0]["schedules"] = [{"interval": 20}]
    path.write_text(yaml.safe_dump(deployment))
    ports = {name: str(free_port()) for name in ("PREFECT_PORT", "MLFLOW_PORT")}
    said = run(tree, "python", "-m", "flows.services", "up", **ports).stdout
    assert f"http://127.0.0.1:{ports['PREFECT_PORT']}" in said
    assert f"http://127.0.0.1:{ports['MLFLOW_PORT']}" in said
    try:
        yield tree, ports
    finally:
        run(tree, "python", "-m", "flows.services", "down", check=False, **ports)


def test_the_schedule_starts_a_run_that_a_worker_finishes(services: tuple[Path, dict[str, str]]) -> None:
    tree, ports = services
    runs = f"http://127.0.0.1:{ports['PREFECT_PORT']}/api/flow_runs/filter"
    wanted = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}}
    deadline = time.monotonic() + 240
    while not (ended := ask(runs, wanted)) and time.monotonic() < deadline:
        time.sleep(1)
    log = (tree / ".roadseg/services/worker.log").read_text()
    assert ended, log
    assert [(each["state"]["type"], each["auto_scheduled"]) for each in ended][:1] == [("COMPLETED", True)], log
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
