"""`make up`, `make down` and `make ui`: servers and a worker on this machine.

Ports come from `PREFECT_PORT` and `MLFLOW_PORT`; logs lie in `services/` of home. Where `PREFECT_API_URL` names a
server that others share, none is started, and the names that stand there carry the checkout; nor is an MLflow where
`MLFLOW_TRACKING_URI` names one beside it.
"""

import json
import os
import sys
import time
from pathlib import Path

import psutil

from flows.services.environment import services_environment
from flows.services.neighbours import notes_on_neighbours
from flows.services.supervisor import control, runs_already, start, wait_until_up
from flows.services.waiting import refuse_silent, refuse_taken
from roadseg.contracts.errors import RoadsegError, UsageError
from roadseg.contracts.files import home, replacing
from roadseg.tracking.repair import repair
from roadseg.workspace.revision import remember_served

FIXED = ("MLFLOW_PORT", "PREFECT_API_URL", "PREFECT_PORT")  # what a person may choose
KEPT = (*FIXED, "MLFLOW_TRACKING_URI", "OWN_MLFLOW", "OWN_PREFECT", "PWD", "ROADSEG_POOL")  # of services that run


def up() -> None:
    """Start everything, deploy the flows, and say where to look; where all runs, bring the deployments up to date.

    Raises:
        UsageError: they serve another checkout or other addresses, a port is taken, or the shared server is silent.
        RoadsegError: a server does not start; with the last that it said.
    """
    env = services_environment()
    running = runs_already(env)
    if running:
        env = _as_they_run(env, moves=False)
        print("the services run already; bringing the deployments up to date ...", flush=True)
    else:
        _refuse_what_cannot_start(env)
        _write_down(env)
    remember_served(Path.cwd())
    try:
        if running:
            for name in _own(env):
                control(env, "start", name.lower())  # one that was given up
        else:
            start(env)
            print(f"starting {', '.join([*_own(env), 'a worker'])} ...", flush=True)
        _bring_up(env)
    except RoadsegError:
        if not running:
            control(env, "shutdown")
        raise


def _own(env: dict[str, str]) -> list[str]:
    """The servers that are started here."""
    return [name for name in ("Prefect", "MLflow") if env[f"OWN_{name.upper()}"] == "true"]


def _refuse_what_cannot_start(env: dict[str, str]) -> None:
    if env["OWN_PREFECT"] == "true":
        refuse_taken(env["PREFECT_PORT"], "PREFECT_PORT")
    else:
        refuse_silent(env["PREFECT_API_URL"])
    if env["OWN_MLFLOW"] == "true":
        refuse_taken(env["MLFLOW_PORT"], "MLFLOW_PORT")
    for folder in (Path(env["SERVICES"]), home() / "mlflow"):
        folder.mkdir(parents=True, exist_ok=True)
    repair(home() / "mlflow/mlflow.db")


def _bring_up(env: dict[str, str]) -> None:
    """Deploy on servers that answer, start the worker, and say where to look."""
    if env["OWN_PREFECT"] == "true":
        wait_until_up(env, "prefect", f"{env['PREFECT_API_URL']}/health")
    if env["OWN_MLFLOW"] == "true":
        wait_until_up(env, "mlflow", f"{env['MLFLOW_TRACKING_URI']}/health")
    from flows.services.deploy import make_deployments  # late: Prefect loads in seconds

    deployments = make_deployments(env)
    control(env, "start", "worker")
    names = [f"{each['entrypoint'].rpartition(':')[2]}/{each['name']}" for each in deployments]
    print(f"Prefect  {env['PREFECT_API_URL'].removesuffix('/api')}   deployments {', '.join(names)}")
    print(f"MLflow   {env['MLFLOW_TRACKING_URI']}")
    print(f"logs     {env['SERVICES']}")
    for note in notes_on_neighbours():
        print(f"note     {note}")
    print(f"run now  PREFECT_API_URL={env['PREFECT_API_URL']} prefect deployment run {names[0]}")


def _write_down(env: dict[str, str]) -> None:
    """Keep what the services are started with, for those who call `up` or `down` with another environment."""
    with replacing(_written(env)) as temporary:
        temporary.write_text(json.dumps({name: env[name] for name in KEPT}), encoding="utf-8")


def _as_they_run(env: dict[str, str], *, moves: bool) -> dict[str, str]:
    """The environment with which the services were started.

    Args:
        env: this one.
        moves: whether it may be of another checkout or name other addresses.

    Raises:
        UsageError: it does, and may not.
    """
    try:
        known: dict[str, str] = json.loads(_written(env).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return env
    if not moves and known["PWD"] != env["PWD"]:
        raise UsageError(f"the services of {home()} run for {known['PWD']}: `make down` first, then `make up` here")
    for name in FIXED if not moves else ():
        if os.environ.get(name) not in (None, "", known[name]):
            raise UsageError(
                f"the services run with {name}={known[name]}: `make down` first, then `make up` with yours"
            )
    return env | known


def _written(env: dict[str, str]) -> Path:
    return Path(env["SERVICES"]) / "running.json"


def down() -> None:
    """End the runs at work, then everything that `up` started, and wait until it is gone.

    Raises:
        UsageError: nothing runs.
    """
    env = services_environment()
    if not runs_already(env):
        raise UsageError("no services run here")
    env = _as_they_run(env, moves=True)
    from flows.services.ending import end_runs, wait_for_processes  # late: Prefect loads in seconds

    end_runs(env)  # the worker would kill them, and they would say Running for ever
    control(env, "stop", "worker")
    wait_for_processes()
    supervisor = int(control(env, "pid").stdout)
    control(env, "shutdown")
    while psutil.pid_exists(supervisor):  # its socket goes before the servers do
        time.sleep(0.1)
    print("stopped")


def ui() -> None:
    """Become MLflow's server on what the demo made, or on `ROADSEG_HOME`.

    Raises:
        UsageError: nothing is there, or the port is taken.
    """
    os.environ.setdefault("ROADSEG_HOME", str(Path(".roadseg/demo").absolute()))
    folder, env = home() / "mlflow", services_environment()
    if not (folder / "mlflow.db").exists():
        raise UsageError(
            f"{folder / 'mlflow.db'} is missing: `make demo` makes it, or set ROADSEG_HOME to another home"
        )
    refuse_taken(env["MLFLOW_PORT"], "MLFLOW_PORT")
    repair(folder / "mlflow.db")
    print(f"MLflow on {home()}: http://127.0.0.1:{env['MLFLOW_PORT']} (Ctrl-C ends it)", flush=True)
    where = ["--host", "127.0.0.1", "--port", env["MLFLOW_PORT"], "--workers", "1"]
    store = [
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination",
        f"{folder}/artifacts",
    ]
    os.execve(sys.executable, [sys.executable, "-m", "mlflow", "server", *where, *store], env)
