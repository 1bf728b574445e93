"""MLflow's address, and the ports of the servers that `make up` starts."""

import os
import urllib.request
from collections.abc import Iterator

import psutil

from roadseg.contracts.files import home
from roadseg.doctor.finding import Finding

PORTS = {"prefect": ("PREFECT_PORT", "4200"), "mlflow": ("MLFLOW_PORT", "5000")}
PATIENCE = 1.0  # seconds


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
    shown = uri.rpartition("@")[2]  # no password in a report
    try:
        with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=PATIENCE):
            return Finding("services", "tracking", f"{shown} answers")
    except OSError as error:
        problem = "start it or set MLFLOW_TRACKING_URI: training goes on without it, `roadseg publish` does not"
        return Finding("services", "tracking", f"{shown} does not answer ({error})", problem)


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
        command = " ".join(psutil.Process(pids[0]).cmdline())
    except (psutil.Error, TypeError):  # None: of another user
        return "another user"
    return f"process {pids[0]} ({command[:80]})"
