"""`make up`, `make down` and `make ui`: servers and a worker on this machine.

Ports come from `PREFECT_PORT` and `MLFLOW_PORT`; logs lie in `services/` of home. Where `PREFECT_API_URL` names a
server that others share, none is started, and the names that stand there carry the checkout.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from flows.services.waiting import refuse_silent, refuse_taken, wait_for
from roadseg.contracts.errors import RoadsegError, UsageError
from roadseg.contracts.files import digest_of, home
from roadseg.tracking.repair import repair

CONFIGURATION = Path(__file__).with_name("services.conf")


def services_environment() -> dict[str, str]:
    """What the services see: where home and the servers are, and no telemetry."""
    prefect, mlflow = (
        os.environ.get(f"{name}_PORT") or port for name, port in (("PREFECT", "4200"), ("MLFLOW", "5000"))
    )
    scripts, shared = str(Path(sys.executable).parent), os.environ.get("PREFECT_API_URL")
    return {
        **os.environ,
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
        "PYTHON": sys.executable,
        "PWD": str(Path.cwd()),
        "ROADSEG_HOME": str(home()),
        "SERVICES": str(home() / "services"),
        "LOGS": str(home() / "services").replace("%", "%%"),
        "SOCKET": str(_socket()),
        "POOL": f"roadseg-{_checkout()}" if shared else "roadseg",
        "OWN_PREFECT": "false" if shared else "true",
        "PREFECT_PORT": prefect,
        "MLFLOW_PORT": mlflow,
        "PREFECT_API_URL": shared or f"http://127.0.0.1:{prefect}/api",
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow}",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def up() -> None:
    """Start everything, deploy the flow, and say where to look.

    Raises:
        UsageError: the services run already, a port is taken, or the shared server does not answer.
        RoadsegError: a server does not start; with the last that it said.
    """
    env = services_environment()
    logs, own = Path(env["SERVICES"]), env["OWN_PREFECT"] == "true"
    if _control(env, "pid").returncode == 0:
        raise UsageError("the services run already: `make down` first")
    if own:
        refuse_taken(env["PREFECT_PORT"], "PREFECT_PORT")
    else:
        refuse_silent(env["PREFECT_API_URL"])
    refuse_taken(env["MLFLOW_PORT"], "MLFLOW_PORT")
    for folder in (logs, home() / "mlflow"):
        folder.mkdir(parents=True, exist_ok=True)
    repair(home() / "mlflow/mlflow.db")
    _run([sys.executable, "-m", "supervisor.supervisord", "-c", str(CONFIGURATION)], env, logs / "supervisord.log")
    try:
        print(f"starting {'Prefect, ' * own}MLflow and a worker ...", flush=True)
        if own:
            _wait(env, "prefect", f"{env['PREFECT_API_URL']}/health")
        _wait(env, "mlflow", f"{env['MLFLOW_TRACKING_URI']}/health")
        name = _deploy(env)
    except RoadsegError:
        _control(env, "shutdown")
        raise
    print(f"Prefect  {env['PREFECT_API_URL'].removesuffix('/api')}   deployment {name}, Mondays 03:00 UTC")
    print(f"MLflow   {env['MLFLOW_TRACKING_URI']}")
    print(f"logs     {logs}\nrun now  PREFECT_API_URL={env['PREFECT_API_URL']} prefect deployment run {name}")


def down() -> None:
    """Stop everything that `up` started, and wait until it is gone.

    Raises:
        UsageError: nothing runs.
    """
    env = services_environment()
    if _control(env, "pid").returncode:
        raise UsageError("no services run here")
    _control(env, "stop", "worker")
    _control(env, "shutdown")
    while _control(env, "pid").returncode == 0:
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
    print(f"MLflow on {home()}: {env['MLFLOW_TRACKING_URI']} (Ctrl-C ends it)", flush=True)
    where = ["--host", "127.0.0.1", "--port", env["MLFLOW_PORT"], "--workers", "1"]
    store = [
        "--backend-store-uri",
        f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination",
        f"{folder}/artifacts",
    ]
    os.execve(sys.executable, [sys.executable, "-m", "mlflow", "server", *where, *store], env)


def _deploy(env: dict[str, str]) -> str:
    """Make the work pool and the deployment; its name."""
    log = Path(env["SERVICES"]) / "deploy.log"
    content = yaml.safe_load(Path("prefect.yaml").read_text(encoding="utf-8"))
    for deployment in content["deployments"]:
        deployment["work_pool"]["name"] = env["POOL"]
        if env["OWN_PREFECT"] != "true":
            deployment["name"] += f"-{_checkout()}"
    names = [deployment["name"] for deployment in content["deployments"]]
    written = Path(env["SERVICES"]) / "prefect.yaml"
    written.write_text(yaml.safe_dump(content), encoding="utf-8")
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    _run([*prefect, "work-pool", "create", env["POOL"], "--type", "process", "--overwrite"], env, log)
    _run([*prefect, "deploy", "--all", "--prefect-file", str(written)], env, log)
    return f"retrain/{names[0]}"


def _checkout() -> str:
    """This checkout and its home in a name: the folder's, and a few digits that tell it from its namesakes."""
    folder = re.sub(r"[^A-Za-z0-9_-]+", "-", Path.cwd().name).strip("-") or "checkout"
    return f"{folder[:40]}-{digest_of([str(Path.cwd()), str(home())])[:8]}"


def _socket() -> Path:
    """Where supervisord listens: a socket's path has 107 bytes at most, and a checkout's may be longer."""
    return Path(tempfile.gettempdir()) / f"roadseg-{digest_of(str(home()))[:16]}.sock"


def _wait(env: dict[str, str], name: str, url: str) -> None:
    log = Path(env["SERVICES"]) / f"{name}.log"
    first: list[str] = []

    def ended() -> bool:
        said = _control(env, "status", name).stdout
        pids = re.findall(r"pid (\d+)", said)
        first.extend(pids if not first else [])
        return not re.search(r"STARTING|RUNNING", said) or (bool(pids) and pids != first)  # started a second time

    wait_for(url, ended, log)


def _control(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(CONFIGURATION), *words]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def _run(command: list[str], env: dict[str, str], log: Path) -> None:
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        said = " ".join(f"{done.stdout} {done.stderr}".split())
        raise RoadsegError(f"`{' '.join(command[2:])}` failed: {said} (see {log})")
