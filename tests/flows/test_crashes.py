"""What ends a deployment's run in the middle of a stage: nothing works on, nothing is stuck, and the next run goes on.

By `make soak`: each stage with each way to end it, always with the weights of an undisturbed training at the end. A few
in the fast suite, without those.
"""

import itertools
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from held import allow
from middles import STAGES, wait_for_middle, wait_for_nothing, weights
from servers import ask, free_port
from trees import command_of, commit, run, working_in

UP, DOWN = (["python", "-m", "flows.services", word] for word in ("up", "down"))
SERVICES = ("prefect server", "mlflow server", "mlflow.server", "supervisord", "flows.services.worker", "worker start")
KEPT = {"prefect", "mlflow", "services", "served.json"}  # of home, while services run on it
KILLED = {  # what gets kill -9, and how Prefect calls such a run
    "worker": {"CRASHED"},
    "flow": {"CRASHED"},
    "dvc": {"FAILED"},
    "stage": {"FAILED"},
    "worker and flow": {"CRASHED"},
    "worker, flow, dvc and stage": {"CRASHED"},
}
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
GONE = 60.0  # seconds; 25 on a quiet machine, of which a stage that hangs takes 20
SLOW = 240.0  # seconds for what takes five on a quiet machine


class Served(NamedTuple):
    """A checkout with its services up."""

    tree: Path
    env: dict[str, str]

    @property
    def home(self) -> Path:
        return self.tree / ".roadseg"

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.env['PREFECT_PORT']}/api"

    def up(self) -> None:
        run(self.tree, *UP, **self.env)

    def start(self) -> str:
        """Ask for a run of the deployment; its id."""
        named = ask(f"{self.api}/deployments/name/retrain/retrain")
        return str(ask(f"{self.api}/deployments/{named['id']}/create_flow_run", {})["id"])

    def state(self, number: str) -> dict[str, Any]:
        return dict(ask(f"{self.api}/flow_runs/{number}")["state"])

    def cancel(self, number: str) -> None:
        ask(f"{self.api}/flow_runs/{number}/set_state", {"state": {"type": "CANCELLING"}})

    def ended(self, number: str, seconds: float = SLOW) -> str:
        """The type of the state in which a run ends."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (kind := str(self.state(number)["type"])) in ENDED:
                return kind
            time.sleep(0.5)
        raise AssertionError(f"{self.state(number)}\n{self.log()}")

    def worker(self) -> psutil.Process:
        """The worker, once it takes runs."""
        deadline = time.monotonic() + SLOW
        while time.monotonic() < deadline:
            for process in working_in(self.tree):
                if "worker start" in command_of(process):
                    return process
            time.sleep(0.2)
        raise AssertionError(self.log())

    def middle(self, stage: str, number: str) -> dict[str, psutil.Process]:
        """The processes of a run whose stage is at work."""
        found = wait_for_middle(self.tree, stage, lambda: self.state(number)["type"] not in ENDED)
        flow = next(process for process in found["dvc"].parents() if "flows.services.engine" in command_of(process))
        return {**found, "flow": flow, "worker": self.worker()}

    def log(self) -> str:
        return (self.home / "services/worker.log").read_text()[-5000:]


def is_service(process: psutil.Process) -> bool:
    said = command_of(process)
    return any(word in said for word in SERVICES) or ("multiprocessing" in said and "mlflow" in said)


def gone(served: Served) -> None:
    """Wait until nothing of a run works; `pytest -rP` shows how long it took."""
    began = time.monotonic()
    wait_for_nothing(served.tree, GONE, beside=is_service)
    print(f"nothing works after {time.monotonic() - began:.1f} s")


def put(source: Path, target: Path) -> None:
    """Make the checkout equal to another one, under the services that run in it."""
    for folder, kept in ((target, {".roadseg"}), (target / ".roadseg", KEPT)):
        for path in folder.iterdir() if folder.exists() else ():
            if path.name not in kept:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for path in source.iterdir():
        if path.is_dir():
            shutil.copytree(path, target / path.name, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(path, target / path.name)


@pytest.fixture(scope="module")
def served(
    imported: Path, with_stores: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A checkout with its services up; `put` gives it what a case needs."""
    tree = Path(shutil.copytree(imported, tmp_path_factory.mktemp("served") / "tree", symlinks=True))
    ports = {name: str(free_port()) for name in ("PREFECT_PORT", "MLFLOW_PORT")}
    up = Served(with_stores(tree), ports)
    try:
        up.up()
        yield up
    finally:
        run(tree, *DOWN, check=False, **ports)


@pytest.fixture
def at_stage(served: Served, before: Callable[[str], Path]) -> Callable[[str], str]:
    """Start a run that is going to have a stage's middle; its id."""

    def begin(stage: str) -> str:
        put(before(stage), served.tree)
        run(served.tree, "dvc", "add", "-q", "data/raw")
        commit(served.tree, f"before {stage}")
        allow(served.home, 1)
        served.worker()
        return served.start()

    return begin


def goes_on(served: Served, finished: Path) -> None:
    """Whether the next run comes through, with the weights of an undisturbed training."""
    allow(served.home, 2)
    assert served.ended(served.start(), 500) == "COMPLETED", served.log()
    cards = [path.parent.parent.parent for path in served.home.glob("workspace/**/models/bundle/card.json")]
    assert [weights(tree) for tree in cards] == [weights(finished)]
    gone(served)


def test_after_all_is_killed_at_once_the_next_run_starts_and_can_be_cancelled(
    served: Served, at_stage: Callable[[str], str]
) -> None:
    number = at_stage("scan")
    for process in served.middle("scan", number).values():
        process.kill()
    gone(served)
    assert served.ended(number) == "CRASHED"
    number = served.start()
    served.middle("scan", number)
    served.cancel(number)
    gone(served)
    assert served.ended(number) == "CANCELLED"


@pytest.mark.soak
@pytest.mark.parametrize(("stage", "victims"), itertools.product(STAGES, KILLED))
def test_after_a_kill_the_next_run_goes_on(
    served: Served, finished: Path, at_stage: Callable[[str], str], stage: str, victims: str
) -> None:
    number = at_stage(stage)
    processes = served.middle(stage, number)
    for name in victims.replace(" and ", ", ").split(", "):
        with suppress(psutil.NoSuchProcess):  # a stage may end first, since its parent is gone
            processes[name].kill()
    gone(served)
    assert served.ended(number) in KILLED[victims]
    goes_on(served, finished)


@pytest.mark.soak
@pytest.mark.parametrize("stage", STAGES)
def test_a_cancelled_run_leaves_no_process_and_the_next_goes_on(
    served: Served, finished: Path, at_stage: Callable[[str], str], stage: str
) -> None:
    number = at_stage(stage)
    served.middle(stage, number)
    served.cancel(number)
    gone(served)
    assert served.ended(number) == "CANCELLED"
    assert stage != "train" or list(served.home.glob("runs/*/checkpoint-*"))
    goes_on(served, finished)


@pytest.mark.soak
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_hangs_can_be_cancelled(
    served: Served, finished: Path, at_stage: Callable[[str], str], stage: str
) -> None:
    number = at_stage(stage)
    served.middle(stage, number)["stage"].send_signal(signal.SIGSTOP)
    served.cancel(number)
    gone(served)
    assert served.ended(number) == "CANCELLED"
    goes_on(served, finished)


@pytest.mark.soak
@pytest.mark.parametrize("stage", STAGES)
def test_a_flow_that_stands_still_for_a_while_comes_through(
    served: Served, finished: Path, at_stage: Callable[[str], str], stage: str
) -> None:
    number = at_stage(stage)
    processes = served.middle(stage, number)
    for name in ("flow", "stage"):
        processes[name].send_signal(signal.SIGSTOP)
    time.sleep(10)
    for name in ("flow", "stage"):
        processes[name].send_signal(signal.SIGCONT)
    allow(served.home, 2)
    assert served.ended(number, 500) == "COMPLETED", served.log()
    goes_on(served, finished)


@pytest.mark.soak
@pytest.mark.parametrize("stage", STAGES)
def test_a_server_that_is_killed_and_comes_back_ends_no_run(
    served: Served, finished: Path, at_stage: Callable[[str], str], stage: str
) -> None:
    number = at_stage(stage)
    served.middle(stage, number)
    server = next(process for process in working_in(served.tree) if "prefect server start" in command_of(process))
    server.kill()
    allow(served.home, 2)
    wait_until_it_answers(served)
    assert served.ended(number, 500) == "COMPLETED", served.log()
    goes_on(served, finished)


@pytest.mark.soak
@pytest.mark.parametrize("stage", STAGES)
def test_after_the_whole_machine_the_next_up_tidies_and_the_next_run_goes_on(
    served: Served, finished: Path, at_stage: Callable[[str], str], stage: str
) -> None:
    number = at_stage(stage)
    served.middle(stage, number)
    for process in working_in(served.tree):
        process.kill()
    wait_for_nothing(served.tree, GONE)
    served.up()
    assert served.ended(number) == "CRASHED"
    goes_on(served, finished)


@pytest.mark.soak
@pytest.mark.parametrize("stage", STAGES)
def test_down_in_the_middle_of_a_run_cancels_it_and_after_up_the_next_goes_on(
    served: Served, finished: Path, at_stage: Callable[[str], str], stage: str
) -> None:
    number = at_stage(stage)
    served.middle(stage, number)
    run(served.tree, *DOWN, **served.env)
    wait_for_nothing(served.tree, 5)
    served.up()
    assert served.ended(number) == "CANCELLED"
    goes_on(served, finished)


@pytest.mark.soak
@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_that_is_told_to_end_takes_its_run_with_it(
    served: Served, finished: Path, at_stage: Callable[[str], str], stage: str
) -> None:
    number = at_stage(stage)
    served.middle(stage, number)["worker"].terminate()
    gone(served)
    assert served.ended(number) == "CRASHED"
    goes_on(served, finished)


def wait_until_it_answers(served: Served) -> None:
    deadline = time.monotonic() + SLOW
    while time.monotonic() < deadline:
        try:
            ask(f"{served.api}/health")
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise AssertionError("Prefect's server did not come back")
