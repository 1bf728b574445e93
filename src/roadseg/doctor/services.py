"""MLflow's address, and the ports of the servers that `make up` starts."""

import json
import os
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psutil

from roadseg.contracts.errors import RoadsegError
from roadseg.contracts.files import home
from roadseg.doctor.finding import Finding
from roadseg.tracking.outage import address, refused, unreached

PORTS = {"prefect": ("PREFECT_PORT", "4200"), "mlflow": ("MLFLOW_PORT", "5000")}
SHOWN = 120  # characters of a command: its end says more than its middle
PATIENCE = 5.0  # seconds; a login alone takes one on a busy machine


def services() -> Iterator[Finding]:
    """Look at addresses and ports."""
    yield _tracking()
    for name, (variable, default) in PORTS.items():
        yield _port(name, variable, os.environ.get(variable) or default)


def _tracking() -> Finding:
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        there = (home() / "mlflow/mlflow.db").exists()
        return Finding("services", "tracking", f"SQLite in home, {'there' if there else 'made at the first publish'}")
    if not uri.startswith(("http://", "https://")):
        return Finding("services", "tracking", f"{uri.partition('://')[0]} database, not asked")
    try:
        _ask(uri)
    except RoadsegError as error:
        problem = f"{error}; training goes on without it, `roadseg publish` does not"
        return Finding("services", "tracking", f"{address(uri)}, not usable", problem)
    return Finding("services", "tracking", f"{address(uri)} answers")


def _ask(uri: str) -> None:
    """Ask MLflow's server for a list, as every verb does first; here without loading MLflow."""
    request = urllib.request.Request(f"{address(uri).rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1")
    if login := _login(uri):
        request.add_header("Authorization", login)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            json.load(answer)
    except urllib.error.HTTPError as error:
        raise refused(uri, error.code) from None
    except OSError as error:
        raise unreached(uri, getattr(error, "reason", error)) from None
    except ValueError:  # no JSON
        raise refused(uri, 404) from None


def _login(uri: str) -> str:
    """The header that MLflow sends, by its address or its variables."""
    parts = urlsplit(uri)
    user = unquote(parts.username or "") or os.environ.get("MLFLOW_TRACKING_USERNAME", "")
    password = unquote(parts.password or "") or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if user:
        return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return f"Bearer {token}" if token else ""


def _port(name: str, variable: str, port: str) -> Finding:
    if not port.isdecimal():
        return Finding("services", f"{name}'s port", port, f"{variable} is no number")
    holder = listener(int(port))
    if holder is None:
        return Finding("services", f"{name}'s port", f"{port} is free")
    ours = name in holder
    problem = "" if ours else f"taken: stop that, or `{variable}=... make up`"
    return Finding("services", f"{name}'s port", f"{port} is taken by {holder}", problem)


def listener(port: int) -> str | None:
    """Who listens at a port of this machine: `process 12 (python -m mlflow ...)`, or None."""
    try:
        pids = [
            found.pid
            for found in psutil.net_connections("tcp")
            if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr.port == port
        ]
    except psutil.AccessDenied:  # macOS tells root alone
        return None
    if not pids:
        return None
    try:
        program, *arguments = psutil.Process(pids[0]).cmdline()
    except (psutil.Error, TypeError, ValueError):  # None: of another user
        return "another user"
    command = " ".join([Path(program).name, *arguments])
    shown = command if len(command) <= SHOWN else f"{command[: SHOWN // 2]} ... {command[-SHOWN // 2 :]}"
    return f"process {pids[0]} ({shown})"
