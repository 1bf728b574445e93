"""`make up`: servers and a worker as processes of their own, and a run that the schedule started."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from servers import ask, free_port, kill_tree
from trees import ROOT, command_environment, command_of, hostile, run, working_in

from flows.services import commands as module
from flows.services.environment import SOURCES, services_environment
from flows.services.neighbours import other_homes
from roadseg.contracts.errors import UsageError
from roadseg.pipeline.settings import read_settings

UP, DOWN, UI = (["python", "-m", "flows.services", word] for word in ("up", "down", "ui"))
STAGES = ["scan", "validate", "preprocess", "train", "evaluate"]


class Services(NamedTuple):
    """A checkout in which services are up, their ports with a person's environment, and the first run that ended."""

    tree: Path
    env: dict[str, str]
    run: dict[str, Any]

    @property
    def prefect(self) -> str:
        return f"http://127.0.0.1:{self.env['PREFECT_PORT']}/api"


@pytest.fixture(scope="module")
def services(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """A finished checkout with its services up, scheduled each 20 seconds, on a machine as people have them.

    Its path has spaces and signs and is longer than a socket's may be; its interpreter's has spaces.
    """
    place = tmp_path_factory.mktemp("services")
    tree = Path(shutil.copytree(finished, place / ("a long way down %(here)s " * 4), symlinks=True))
    path = tree / "prefect.yaml"
    deployment = yaml.safe_load(path.read_text())
    deployment["deployments"][0]["schedules"] = [{"interval": 20}]
    path.write_text(yaml.safe_dump(deployment))
    scripts = place / "an interpreter/bin"
    scripts.parent.symlink_to(Path(sys.executable).parent.parent)
    search = os.pathsep.join([str(scripts), os.environ["PATH"]])
    env = {"PREFECT_PORT": str(free_port()), "MLFLOW_PORT": str(free_port()), "PATH": search, **hostile(place)}
    said = run(tree, *UP, **env).stdout
    assert f"http://127.0.0.1:{env['PREFECT_PORT']}" in said
    assert f"http://127.0.0.1:{env['MLFLOW_PORT']}" in said
    try:
        yield Services(tree, env, first_ended(tree, env["PREFECT_PORT"]))
    finally:
        run(tree, *DOWN, check=False, **env)


def first_ended(tree: Path, port: str) -> dict[str, Any]:
    """The first run that the schedule starts, as it ended; more would only take the machine's time.

    On a busy machine one may start so late that it gives way to the next.
    """
    api, started = f"http://127.0.0.1:{port}/api", {"type": {"not_any_": ["SCHEDULED"]}}
    wanted = {"flows": {"name": {"any_": ["retrain"]}}, "flow_runs": {"state": started}, "sort": "START_TIME_ASC"}
    found: dict[str, Any] = {"state": {"name": "Skipped"}}
    while found["state"]["name"] == "Skipped":
        while not (
            runs := [each for each in ask(f"{api}/flow_runs/filter", wanted) if each["state_name"] != "Skipped"]
        ):
            time.sleep(1)
        deployment = f"{api}/deployments/{runs[0]['deployment_id']}"
        ask(f"{deployment}/pause_deployment", {})  # which also takes back what is due
        while (found := ask(f"{api}/flow_runs/{runs[0]['id']}"))["state"]["type"] in {"PENDING", "RUNNING"}:
            time.sleep(1)
        if found["state"]["name"] == "Skipped":
            ask(f"{deployment}/resume_deployment", {})
    log = (tree / ".roadseg/services/worker.log").read_text()
    assert found["state"]["type"] == "COMPLETED", log
    assert "oneDNN" not in log
    return dict(found)


def test_the_flow_right_after_dvc_repro_runs_no_stage_and_says_so(services: Services) -> None:
    tasks = ask(f"{services.prefect}/task_runs/filter", {"flow_runs": {"id": {"any_": [services.run["id"]]}}})
    ended = {task["name"]: (task["state"]["name"], task["state"]["message"]) for task in tasks}
    assert {stage: ended[stage] for stage in STAGES} == dict.fromkeys(STAGES, ("Cached", "nothing changed"))


def test_a_port_that_another_checkout_has_is_named_before_anything_starts(services: Services, finished: Path) -> None:
    tree, env, _ = services
    beside = env | {"ROADSEG_HOME": str(tree.parent / "second home")}
    for taken, name in (("PREFECT_PORT", "prefect"), ("MLFLOW_PORT", "mlflow")):
        other = {port: str(free_port()) for port in ("PREFECT_PORT", "MLFLOW_PORT") if port != taken}
        refused = run(finished, *UP, check=False, **beside | other)
        assert refused.returncode == 2
        [line] = refused.stderr.splitlines()
        assert f"port {env[taken]} is taken by process" in line
        assert name in line
        assert f"{taken}=" in line


def test_the_schedule_starts_a_run_that_a_worker_finishes(
    services: Services, background: Callable[..., subprocess.Popen[bytes]]
) -> None:
    tree, env, ended = services
    assert ended["auto_scheduled"]
    port = str(free_port())
    shown = command_environment(tree, **env | {"MLFLOW_PORT": port})
    ui = background(UI, cwd=tree, env=shown, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not answers(f"http://127.0.0.1:{port}/health"):
        time.sleep(0.2)
    alias = "registered-models/alias?name=roadseg&alias=champion"
    for server in (env["MLFLOW_PORT"], port):
        version = ask(f"http://127.0.0.1:{server}/api/2.0/mlflow/{alias}")["model_version"]
        assert version["version"] == "1"
        page = f"get-artifact?run_uuid={version['run_id']}&path=bundle/card.json"
        assert "fingerprint" in ask(f"http://127.0.0.1:{server}/{page}")
    kill_tree(ui)


def test_the_form_shows_what_params_yaml_has_and_sends_none_of_it(services: Services) -> None:
    schema = ask(f"{services.prefect}/deployments/name/retrain/retrain")["parameter_openapi_schema"]
    epochs = read_settings(services.tree / "params.yaml")["train"]["epochs"]
    field = schema["definitions"]["TrainOverrides"]["properties"]["epochs"]
    assert field["description"].endswith(f"(above 0). Here: {epochs}")
    assert (field["type"], "default" in field) == ("integer", False)
    assert schema["properties"]["overrides"]["default"] == {}
    assert not any("default" in each for each in schema["definitions"]["Overrides"]["properties"].values())


def schedule_of(given: dict[str, Any]) -> dict[str, Any]:
    """What a schedule says, in prefect.yaml or on the server: when, where, and whether it is on."""
    kind = "cron" if "cron" in given else "interval"
    return {kind: given[kind], "timezone": given.get("timezone") or "UTC", "active": given.get("active", True)}


def test_up_again_updates_the_deployments_starts_nothing_twice_and_names_other_homes_at_work(
    services: Services, finished: Path, background: Callable[..., subprocess.Popen[bytes]]
) -> None:
    tree, env, _ = services
    beside, works = tree.parent / "a home beside", [sys.executable, "-c", "import time; time.sleep(600)"]
    other = background([*works, "-m", "roadseg", "train"], env={**os.environ, "ROADSEG_HOME": str(beside)})
    before = {process.pid for process in working_in(tree) if "services.conf" in command_of(process)}
    path = tree / "prefect.yaml"
    listed = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    listed["deployments"][0]["schedules"][0]["timezone"] = "Europe/Berlin"  # what is dropped becomes UTC
    path.write_text(yaml.safe_dump(listed))
    said = run(tree, *UP, **env)
    assert "the services run already" in said.stdout
    [note] = [line for line in said.stdout.splitlines() if line.startswith(f"note     {beside} ")]
    assert f"(process {other.pid})" in note
    assert note.endswith(f"`ROADSEG_HOME='{beside}' make down` ends its services; or let both work")
    [retrain] = ask(f"{services.prefect}/deployments/name/retrain/retrain")["schedules"]
    assert retrain["active"]
    for each in listed["deployments"]:
        found = ask(f"{services.prefect}/deployments/name/{each['name']}/{each['name']}")["schedules"]
        assert [schedule_of(one["schedule"] | {"active": one["active"]}) for one in found] == [
            schedule_of(one) for one in each.get("schedules", [])
        ], each["name"]
    assert {process.pid for process in working_in(tree) if "services.conf" in command_of(process)} == before
    automations = ask(f"{services.prefect}/automations/filter", {})
    assert len({each["name"] for each in automations}) == len(automations)
    elsewhere = run(finished, *UP, check=False, **env | {"ROADSEG_HOME": str(tree / ".roadseg")})
    assert elsewhere.returncode == 2
    assert f"run for {tree}: `make down` first" in elsewhere.stderr
    moved = run(tree, *UP, check=False, **env | {"MLFLOW_PORT": str(free_port())})
    assert f"the services run with MLFLOW_PORT={env['MLFLOW_PORT']}" in moved.stderr


def test_down_leaves_nothing_at_work_and_the_shell_reads_what_the_servers_wrote(
    services: Services, finished: Path
) -> None:
    tree, env, _ = services
    without_ports = {name: value for name, value in env.items() if not name.endswith("_PORT")}
    # it knows with which they were started; another checkout needs the home alone, as `make up` there says
    run(finished, *DOWN, **without_ports | {"ROADSEG_HOME": str(tree / ".roadseg")})
    deadline = time.monotonic() + 30
    while working_in(tree) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not [command_of(process) for process in working_in(tree)]
    code = "from roadseg.registry.versions import fetch_bundle; print(fetch_bundle('models:/roadseg@champion'))"
    assert Path(run(tree, "python", "-c", code).stdout.splitlines()[-1], "card.json").is_file()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def test_on_a_shared_server_names_carry_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (services_environment()["ROADSEG_POOL"], services_environment()["OWN_PREFECT"]) == ("roadseg", "true")
    monkeypatch.setenv("PREFECT_API_URL", "https://team.example.org/api")
    pools = []
    for name in ("a/a b", "c/a b"):
        (tmp_path / name).mkdir(parents=True)
        monkeypatch.chdir(tmp_path / name)
        env = services_environment()
        assert (env["PREFECT_API_URL"], env["OWN_PREFECT"]) == ("https://team.example.org/api", "false")
        assert (env["MLFLOW_TRACKING_URI"], env["OWN_MLFLOW"]) == ("http://127.0.0.1:5000", "true")
        pools.append(env["ROADSEG_POOL"])
    assert len(set(pools)) == 2
    assert all(re.fullmatch(r"roadseg-a-b-[0-9a-f]{8}", pool) for pool in pools)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://team.example.org/mlflow")
    env = services_environment()
    assert (env["MLFLOW_TRACKING_URI"], env["OWN_MLFLOW"]) == ("https://team.example.org/mlflow", "false")
    monkeypatch.delenv("PREFECT_API_URL")
    env = services_environment()
    assert env["OWN_MLFLOW"] == "true"
    assert env["MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX"] == SOURCES


def test_a_shared_server_that_is_gone_and_a_home_without_models_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"mlflow\.db is missing: `make demo`"):
        module.ui()
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(UsageError, match="nothing answers there"):
        module.up()
    monkeypatch.delenv("PREFECT_API_URL")
    monkeypatch.setenv("PREFECT_PORT", "many")
    with pytest.raises(UsageError, match="PREFECT_PORT is many: give a number"):
        module.up()


def test_another_home_that_trains_on_this_machine_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, background: Callable[..., subprocess.Popen[bytes]]
) -> None:
    beside = str(tmp_path / "beside")
    mine, other = (
        background(
            [sys.executable, "-c", "import time; time.sleep(600)", "-m", "roadseg", "train"], env={"ROADSEG_HOME": home}
        )
        for home in (str(tmp_path / "mine"), beside)
    )
    monkeypatch.setenv("ROADSEG_HOME", str(tmp_path / "mine"))
    found = other_homes()
    assert found[beside] == other.pid
    assert mine.pid not in found.values()


@pytest.mark.parametrize("pin", ["fastapi<0.151", "sqlalchemy<2.1"])
def test_the_pins_without_which_prefect_breaks_silently_are_there(pin: str) -> None:
    assert f'"{pin}"' in (ROOT / "pyproject.toml").read_text()
