"""A person outside: asks the stack through its proxy, over TLS that is checked, with and without a login."""

import json
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

PATIENCE = 1500.0  # seconds for whatever a busy machine does
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class Client:
    """Asks services by name."""

    def __init__(self, settings: dict[str, str], authority: Path) -> None:
        self._ports = {name: settings[f"{name.upper()}_PORT"] for name in ("prefect", "mlflow", "models")}
        self._logins = {
            "prefect": settings["PREFECT_AUTH"],
            "mlflow": f"admin:{settings['MLFLOW_ADMIN_PASSWORD']}",
            "models": f"roadseg:{settings['MODELS_PASSWORD']}",
        }
        self._trust = ssl.create_default_context(cafile=str(authority))

    def ask(self, service: str, path: str, body: Any = None, login: bool = True) -> tuple[int, bytes]:
        """Status and content; a body of bytes is sent as it is, another one as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = Request(f"https://localhost:{self._ports[service]}{path}", data)
        if not isinstance(body, bytes):
            request.add_header("Content-Type", "application/json")
        if login:
            request.add_header("Authorization", f"Basic {b64encode(self._logins[service].encode()).decode()}")
        try:
            with urlopen(request, timeout=60, context=self._trust) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            return error.code, error.read()

    def json(self, service: str, path: str, body: Any = None) -> Any:
        """The content of an answer; asks again while a server starts."""

        def look() -> Any:
            try:
                status, content = self.ask(service, path, body)
            except OSError:
                return None
            return json.loads(content) if status in (200, 201) else None

        return waited(look, f"{service}{path}")

    def start_run(self, deployment: str) -> str:
        """Ask for a run; its id."""
        known = self.json("prefect", f"/api/deployments/name/{deployment}")
        return str(self.json("prefect", f"/api/deployments/{known['id']}/create_flow_run", {})["id"])

    def run(self, run: str) -> dict[str, Any]:
        """A run as Prefect has it."""
        return dict(self.json("prefect", f"/api/flow_runs/{run}"))

    def stages(self, run: str) -> dict[str, str]:
        """State of each task of a run, by name."""
        wanted = {"flow_runs": {"id": {"any_": [run]}}}
        return {task["name"]: task["state_name"] for task in self.json("prefect", "/api/task_runs/filter", wanted)}

    def wait_for_run(self, run: str) -> dict[str, Any]:
        """Wait until a run has ended."""
        waited(lambda: self.run(run)["state_type"] in ENDED, f"run {run}")
        return self.run(run)

    def champion(self) -> str:
        """The version at the alias."""
        path = "/api/2.0/mlflow/registered-models/alias?name=roadseg&alias=champion"
        return str(self.json("mlflow", path)["model_version"]["version"])


def waited(look: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """What a look finds, as soon as it finds something."""
    end = time.monotonic() + patience
    while not (found := look()):
        if time.monotonic() > end:
            raise SystemExit(f"{what}: nothing after {patience:.0f} s")
        time.sleep(1)
    return found
