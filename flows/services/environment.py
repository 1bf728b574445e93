"""What the services see: addresses, names and folders, and no telemetry."""

import os
import re
import sys
import tempfile
from pathlib import Path

from roadseg.contracts.files import digest_of, home

# where the files of a version may lie: else whoever registers could have the server read any file of its machine
SOURCES = r"^(models:/m-[0-9a-f]{32}|mlflow-artifacts:/.*)$"
KEPT_EVENTS = "P14D"  # Prefect's events are many, and say little that runs do not


def services_environment() -> dict[str, str]:
    """What the services see: where home and the servers are, and no telemetry."""
    prefect, mlflow = (
        os.environ.get(f"{name}_PORT") or port for name, port in (("PREFECT", "4200"), ("MLFLOW", "5000"))
    )
    scripts, shared = str(Path(sys.executable).parent), os.environ.get("PREFECT_API_URL")
    named = os.environ.get("MLFLOW_TRACKING_URI", "") if shared else ""  # beside a Prefect of one's own it is ours
    team_mlflow = named if named.startswith(("http://", "https://")) else ""
    settings = {
        "PREFECT_WORKER_QUERY_SECONDS": "5",  # a run asked for by hand starts sooner
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,orphans",  # runs are `retention`'s
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": KEPT_EVENTS,
        # where somebody sets a limit, a restart of the server must not keep its slots for ever
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "MLFLOW_CREATE_MODEL_VERSION_SOURCE_VALIDATION_REGEX": SOURCES,
    }
    return {
        **settings,
        **os.environ,
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)]),
        "PYTHON": sys.executable,
        "PWD": str(Path.cwd()),
        "ROADSEG_HOME": str(home()),
        "ROADSEG_POOL": f"roadseg-{checkout_name()}" if shared else "roadseg",
        "SERVICES": str(home() / "services"),
        "LOGS": str(home() / "services").replace("%", "%%"),
        "SOCKET": str(_socket()),
        "OWN_PREFECT": "false" if shared else "true",
        "OWN_MLFLOW": "false" if team_mlflow else "true",
        "PREFECT_PORT": prefect,
        "MLFLOW_PORT": mlflow,
        "PREFECT_API_URL": shared or f"http://127.0.0.1:{prefect}/api",
        "MLFLOW_TRACKING_URI": team_mlflow or f"http://127.0.0.1:{mlflow}",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def checkout_name() -> str:
    """This checkout and its home in a name: the folder's, and a few digits that tell it from its namesakes."""
    folder = re.sub(r"[^A-Za-z0-9_-]+", "-", Path.cwd().name).strip("-") or "checkout"
    return f"{folder[:40]}-{digest_of([str(Path.cwd()), str(home())])[:8]}"


def _socket() -> Path:
    """Where supervisord listens: a socket's path has 107 bytes at most, and a checkout's may be longer."""
    return Path(tempfile.gettempdir()) / f"roadseg-{digest_of(str(home()))[:16]}.sock"
