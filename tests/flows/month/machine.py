"""The machine that a team's checkout is served on: `make up`, a worker, outages, and a reboot."""

import time
from collections.abc import Callable
from contextlib import chdir
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest
from servers import ask, free_port
from trees import command_of, run, working_in

from flows.services.environment import services_environment
from flows.services.supervisor import control

UP, DOWN = (["python", "-m", "flows.services", word] for word in ("up", "down"))
SLOW = 900.0  # seconds for what takes a minute on a quiet machine
OPEN = ["SCHEDULED", "PENDING", "RUNNING", "CANCELLING"]
WORKING = ["retrain", "ingest", "promote", "rollback"]  # flows; reconcile only looks after them
QUIET = 6.0  # seconds without anything due: what one run starts is there before that ends


class Machine:
    """Servers and a worker of a checkout, as `make up` starts them."""

    def __init__(self, tree: Path) -> None:
        self.tree, self._seen = tree, set[str]()
        self.ports = {name: str(free_port()) for name in ("PREFECT_PORT", "MLFLOW_PORT")}

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.ports['PREFECT_PORT']}/api"

    @property
    def mlflow(self) -> str:
        return f"http://127.0.0.1:{self.ports['MLFLOW_PORT']}"

    def seen_by_people(self) -> dict[str, str]:
        """Environment of somebody who works with these servers."""
        home = str(self.tree / ".roadseg")
        return {"ROADSEG_HOME": home, "PREFECT_API_URL": self.api, "MLFLOW_TRACKING_URI": self.mlflow}

    def up(self) -> None:
        run(self.tree, *UP, **self.ports)

    def down(self) -> None:
        run(self.tree, *DOWN, check=False, **self.ports)

    # hands

    def start(self, deployment: str, **parameters: Any) -> str:
        named = ask(f"{self.api}/deployments/name/{deployment}/{deployment}")
        made = ask(f"{self.api}/deployments/{named['id']}/create_flow_run", {"parameters": parameters})
        return str(made["id"])

    def settle(self) -> None:
        since, deadline = time.monotonic(), time.monotonic() + SLOW
        while time.monotonic() - since < QUIET:
            assert time.monotonic() < deadline, f"{self.due()}\n{self.log()}"
            if self._busy():
                since = time.monotonic()
            time.sleep(1)

    def settle_new_data(self) -> None:
        self.wait_for_trigger()
        self.settle()

    def wait_for_trigger(self) -> None:
        """Wait for the run that an event starts; each is waited for once."""
        self.wait_for(lambda: bool(self._by_events() - self._seen), "the trigger")
        self._seen = self._by_events()

    def _by_events(self) -> set[str]:
        found = ask(f"{self.api}/flow_runs/filter", {"flows": {"name": {"any_": ["retrain"]}}})
        return {run["id"] for run in found if (run["created_by"] or {}).get("type") == "AUTOMATION"}

    def answer(self, run: str, **fields: str) -> None:
        said = ask(f"{self.api}/flow_runs/{run}/resume", {"run_input": fields})
        assert said["status"] == "ACCEPT", said

    def _busy(self) -> bool:
        try:
            return bool(self.due())
        except HTTPError as error:  # what is asked wrongly is no sign of work
            if error.code < 500:
                raise
            return True
        except OSError:  # a server at the end of its strength answers the next time
            return True

    def due(self) -> list[dict[str, Any]]:
        """The runs that work or are to work now, less those that look after others."""
        wanted = {"state": {"type": {"any_": OPEN}}, "expected_start_time": {"before_": _now()}}
        flows = {"name": {"any_": WORKING}}
        found = ask(f"{self.api}/flow_runs/filter", {"flow_runs": wanted, "flows": flows})
        waiting = {"state": {"name": {"any_": ["Waiting"]}, "type": {"any_": ["SCHEDULED"]}}}  # not for masks
        return [*found, *ask(f"{self.api}/flow_runs/filter", {"flow_runs": waiting, "flows": flows})]

    def log(self) -> str:
        return (self.tree / ".roadseg/services/worker.log").read_text()[-5000:]

    # what goes wrong

    def stop(self, server: str) -> None:
        """An outage of mlflow or prefect, until `begin`."""
        self._control("stop", server)

    def begin(self, server: str) -> None:
        self._control("start", server)
        address = f"{self.api if server == 'prefect' else self.mlflow}/health"
        self.wait_for(lambda: _answers(address), f"{server} comes back")

    def _control(self, *words: str) -> None:
        with chdir(self.tree), pytest.MonkeyPatch.context() as patch:
            patch.delenv("PREFECT_API_URL", raising=False)
            patch.setenv("ROADSEG_HOME", str(self.tree / ".roadseg"))
            for name, port in self.ports.items():
                patch.setenv(name, port)
            done = control(services_environment(), *words)
        assert done.returncode == 0, done.stdout + done.stderr

    def reboot(self) -> None:
        """Everything is killed at once, and a person starts the services again."""
        while found := [process for process in working_in(self.tree) if process.pid != psutil.Process().pid]:
            for process in found:
                process.kill()
            psutil.wait_procs(found, timeout=5)
        self.up()

    def wait_for(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SLOW
        while not true():
            assert time.monotonic() < deadline, f"{what}: never\n{self.log()}"
            time.sleep(0.2)

    def wait_for_stage(self, stage: str) -> None:
        self.wait_for(
            lambda: any(command_of(process).endswith(f"-m roadseg {stage}") for process in working_in(self.tree)),
            f"{stage} begins",
        )

    def wait_for_task(self, run: str, task: str, state: str) -> None:
        def so() -> bool:
            found = ask(f"{self.api}/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
            states = [(each["name"], (each["state"] or {}).get("name")) for each in found]  # one just made has none yet
            return (task, state) in states

        self.wait_for(so, f"task {task} is {state}")


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=5):
            return True
    except OSError:
        return False
