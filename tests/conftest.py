"""What many tests need: generated scenes, and checkouts in which the graph runs in seconds."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from roadseg.contracts.classes import ClassTable
from roadseg.contracts.environment import settle
from roadseg.intake.install import install
from roadseg.intake.synthetic import generate

settle()

ROOT = Path(__file__).parent.parent
SMALL = {
    "preprocess": {"height": 64, "width": 128},
    "train": {"epochs": 2, "batch": 4, "precision": "float32"},
    "evaluate": {"batch": 4},
}


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes to the user's home, and none talks to the user's servers."""
    monkeypatch.setenv("ROADSEG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "DVC_ROOT", "ROADSEG_RECEIPT", "ROADSEG_FOLLOW"):
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


def make_checkout(target: Path) -> Path:
    """Copy the files that git knows or would take, as a repository of its own with small parameters."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if not name.startswith(("data/", "metrics.json", "dvc.lock")) and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    change_params(target, SMALL)
    commit(target, "start")
    return target


def change_params(tree: Path, changes: dict[str, dict[str, object]]) -> None:
    """Set keys of params.yaml by section."""
    path = tree / "params.yaml"
    params = yaml.safe_load(path.read_text())
    for section, values in changes.items():
        params[section].update(values)
    path.write_text(yaml.safe_dump(params))


def commit(tree: Path, message: str) -> None:
    """Commit all that git does not ignore."""
    if not (tree / ".git").exists():
        subprocess.run(["git", "init", "-q", "-b", "main"], cwd=tree, check=True)
    identity = ["-c", "user.name=tester", "-c", "user.email=tester@localhost"]
    subprocess.run(["git", "add", "-A"], cwd=tree, check=True)
    subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", message], cwd=tree, check=True)


def command_environment(tree: Path, **more: str) -> dict[str, str]:
    """Environment in which commands run in a checkout: its code, its home, this interpreter's tools."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_", "ROADSEG_"))}
    return {
        **kept,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": f"{tree / 'src'}:{tree}",
        "ROADSEG_HOME": str(tree / ".roadseg"),
        "PREFECT_HOME": str(tree / ".roadseg" / "prefect"),
        **more,
    }


def run(tree: Path, *command: str, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a checkout; its output comes back as text."""
    done = subprocess.run(
        command, cwd=tree, env=command_environment(tree, **more), capture_output=True, text=True, timeout=500
    )
    assert not check or done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory, scenes: Path) -> Path:
    """A checkout with imported scenes in which nothing has run; copy it, do not change it."""
    tree = make_checkout(tmp_path_factory.mktemp("imported") / "tree")
    install(tree, scenes, ClassTable.find("idd-level1"))
    commit(tree, "import scenes")
    return tree


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, imported: Path) -> Path:
    """A checkout in which `dvc repro` has run whole; copy it, do not change it."""
    tree = shutil.copytree(imported, tmp_path_factory.mktemp("finished") / "tree", symlinks=True)
    run(tree, "dvc", "repro", "-q")
    commit(tree, "run")
    return tree


@pytest.fixture
def checkout(tmp_path: Path, imported: Path) -> Path:
    """A checkout of its own with imported scenes."""
    return Path(shutil.copytree(imported, tmp_path / "tree", symlinks=True))


@pytest.fixture
def finished_checkout(tmp_path: Path, finished: Path) -> Path:
    """A checkout of its own in which everything has run."""
    return Path(shutil.copytree(finished, tmp_path / "tree", symlinks=True))


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
