"""Checkouts in which the graph runs in seconds, and commands in them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import yaml

from roadseg.contracts.files import digest_file
from roadseg.scan.stage import ScanParams

ROOT = Path(__file__).parent.parent
SMALL = {
    "preprocess": {"height": 64, "width": 128},
    "train": {"epochs": 2, "batch": 4, "learning_rate": 2e-3, "precision": "float32"},
    "evaluate": {"batch": 4, "flip": False},
    "promote": {"miou_min": 0.0},  # such a model knows little
}
# a third of the layers is traced in a third of the time
SHORT = '\nSIZES["small"] = Config(stem=32, stages=((16, 1),), decoder=(48,), dropout=0.0, up="bilinear")\n'


def make_checkout(target: Path) -> Path:
    """Copy the files that git knows or would take, as a repository with small parameters and a small model."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if not name.startswith(("data/", "reports/", "metrics.json", "dvc.lock")) and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    append(target / "src/roadseg/train/models/unet.py", SHORT)
    change_params(target, SMALL)
    commit(target, "start")
    return target


def hold_training(tree: Path) -> None:
    """Let the next training in this checkout wait in the middle, until `held.allow` lets it go on."""
    code = (ROOT / "tests/held.py").read_text()
    append(tree / "src/roadseg/train/run/checkpointing.py", f"\n\n{code}\n\nhold(Checkpointer)\n")


def append(path: Path, text: str) -> None:
    """Add to the end of a file."""
    with path.open("a") as opened:
        opened.write(text)


def change_params(tree: Path, changes: dict[str, dict[str, object]]) -> None:
    """Set keys of params.yaml by section."""
    path = tree / "params.yaml"
    params = yaml.safe_load(path.read_text())
    for section, values in changes.items():
        params[section].update(values)
    path.write_text(yaml.safe_dump(params))


def scan_params(**changes: object) -> ScanParams:
    """The project's own parameters of scan with some changed."""
    # an import into this checkout has named its data set there
    return ScanParams(**yaml.safe_load((ROOT / "params.yaml").read_text())["scan"] | {"dataset": ""} | changes)


def touch(root: Path, *names: str) -> None:
    """Make empty files and the folders above them."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def put_image(target: Path, image: Path) -> None:
    """Copy a file and make the folders above it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(image, target)


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
        "ROADSEG_PAGES": "off",  # each takes seconds; tests of pages say "on"
        **more,
    }


def hostile(folder: Path) -> dict[str, str]:
    """What a person's machine may have: a proxy, and a profile of Prefect that names a server of last year."""
    profiles = folder / "home of me/.prefect/profiles.toml"
    profiles.parent.mkdir(parents=True)
    profiles.write_text('active = "old"\n[profiles.old]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\n')
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    return {"HOME": str(profiles.parent.parent), **nowhere}


def run(tree: Path, *command: str, check: bool = True, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a checkout; its output comes back as text."""
    done = subprocess.run(
        command, cwd=tree, env=command_environment(tree, **more), capture_output=True, text=True, timeout=500
    )
    assert not check or done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


def working_in(tree: Path) -> list[psutil.Process]:
    """Processes whose current folder is in the tree."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(tree) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
            continue
    return found


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def shard_digests(tree: Path) -> dict[str, str]:
    """Sha256 of every file of data/shards, by path below it."""
    shards = tree / "data/shards"
    return {path.relative_to(shards).as_posix(): digest_file(path) for path in shards.rglob("*") if path.is_file()}
