"""`make up` and `make down`: the servers and a worker on this machine, under supervisord.

Ports come from `PREFECT_PORT` and `MLFLOW_PORT`; logs lie in `services/` of home.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from flows.server import wait_for
from roadseg.contracts.errors import RoadsegError, UsageError
from roadseg.contracts.files import digest_of, home
from roadseg.pipeline.environment import settle

CONFIGURATION = Path(__file__).with_name("services.conf")


def services_environment() -> dict[str, str]:
    """What the services see: where home and the servers are, and no telemetry."""
    prefect, mlflow = os.environ.get("PREFECT_PORT", "4200"), os.environ.get("MLFLOW_PORT", "5000")
    scripts = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
        "PYTHON": sys.executable,
        "PWD": str(Path.cwd()),
        "ROADSEG_HOME": str(home()),
        "SERVICES": str(home() / "services"),
        "SOCKET": str(_socket()),
        "PREFECT_PORT": prefect,
        "MLFLOW_PORT": mlflow,
        "PREFECT_API_URL": f"http://127.0.0.1:{prefect}/api",
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow}",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def up() -> None:
    """Start everything, deploy the flow, and say where to look.

    Raises:
        UsageError: the services run already.
        RoadsegError: a server does not answer; names its log.
    """
    env = services_environment()
    logs = Path(env["SERVICES"])
    for folder in (logs, home() / "mlflow"):
        folder.mkdir(parents=True, exist_ok=True)
    if _control(env, "pid").returncode == 0:
        raise UsageError("the services run already: `make down` first")
    _run([sys.executable, "-m", "supervisor.supervisord", "-c", str(CONFIGURATION)], env, logs / "supervisord.log")
    print("starting Prefect, MLflow and a worker ...", flush=True)
    wait_for(f"{env['PREFECT_API_URL']}/health", None, logs / "prefect.log")
    wait_for(f"{env['MLFLOW_TRACKING_URI']}/health", None, logs / "mlflow.log")
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    _run([*prefect, "work-pool", "create", "roadseg", "--type", "process", "--overwrite"], env, logs / "prefect.log")
    _run([*prefect, "deploy", "--all"], env, logs / "prefect.log")
    print(f"Prefect  http://127.0.0.1:{env['PREFECT_PORT']}   deployment retrain/retrain, Mondays 03:00 UTC")
    print(f"MLflow   {env['MLFLOW_TRACKING_URI']}")
    print(f"logs     {logs}\nrun now  PREFECT_API_URL={env['PREFECT_API_URL']} prefect deployment run retrain/retrain")


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
        pass
    print("stopped")


def _socket() -> Path:
    """Where supervisord listens: a socket's path has 107 bytes at most, and a checkout's may be longer."""
    return Path(tempfile.gettempdir()) / f"roadseg-{digest_of(str(home()))[:16]}.sock"


def _control(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(CONFIGURATION), *words]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def _run(command: list[str], env: dict[str, str], log: Path) -> None:
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        raise RoadsegError(f"`{' '.join(command[2:])}` failed: {done.stdout}{done.stderr} (see {log})")


if __name__ == "__main__":
    settle()
    try:
        {"up": up, "down": down}[sys.argv[1]]()
    except RoadsegError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
