"""A project of two stages that run in no time, with real git and DVC, and commands in it."""

import subprocess
from pathlib import Path

from trees import commit, run

DVC_YAML = """
stages:
  scan:
    cmd: cp data/raw/leftImg8bit/train/1/a_image.jpg data/scan.parquet
    deps: [data/raw, data/classes.yaml, data/splits.csv, src/roadseg/scan]
    params: [scan]
    outs: [data/scan.parquet]
  evaluate:
    cmd: echo '{}' > metrics.json
    deps: [data/scan.parquet, data/quarantine.csv, data/reference.json, src/roadseg/evaluate]
    params: [evaluate]
    metrics: [metrics.json: {cache: false}]
"""
PARAMS = """# the person's words stay
scan:
  seed: 0
evaluate:
  batch: 4  # images
promote:
  gain: 0.003
"""
FILES = {
    "dvc.yaml": DVC_YAML,
    "params.yaml": PARAMS,
    ".gitignore": "/.roadseg/\n/data/raw\n/data/scan.parquet\n__pycache__/\n",
    "data/classes.yaml": "name: tiny\n",
    "data/quarantine.csv": "sample\n",
    "data/reference.json": "{}\n",
    "data/splits.csv": "drive,split,dataset,batch\n",
    "src/roadseg/scan/stage.py": "one = 1\n",
    "src/roadseg/evaluate/stage.py": "one = 1\n",
    "src/roadseg/pages/page.py": "one = 1\n",
}
RESULTS = "roadseg/retrain/2026-01-31-01234567"
DATA_FILES = ["data/raw.dvc", "data/classes.yaml", "data/quarantine.csv", "data/reference.json", "data/splits.csv"]


def git(tree: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, f"git {arguments}: {done.stderr}"
    return done.stdout.strip()


def head(tree: Path, revision: str = "HEAD") -> str:
    return git(tree, "rev-parse", revision)


def write(tree: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)


def change(tree: Path, name: str, text: str) -> str:
    """Commit a file with another content; the commit."""
    write(tree, {name: text})
    commit(tree, f"change {name}")
    return head(tree)


def add_drive(tree: Path, drive: str, content: str = "image") -> None:
    """Put a drive into data/raw and version it; nothing is committed."""
    image = {f"data/raw/leftImg8bit/train/{drive}/a_image.jpg": f"{content} {drive}"}
    write(tree, image | {f"data/raw/gtFine/train/{drive}/a_label.png": f"mask {drive}"})
    run(tree, "dvc", "add", "-q", "data/raw")


def make_project(tree: Path, *dvc_init: str) -> None:
    """Make the project, as a repository with a commit unless it is to be in one."""
    write(tree, FILES)
    if not dvc_init:
        git(tree, "init", "-q", "-b", "main")
    run(tree, "dvc", "init", "-q", *dvc_init)
    write(tree, {"data/raw/leftImg8bit/train/1/a_image.jpg": "image 1", "data/raw/gtFine/train/1/a_label.png": "mask"})
    add_drive(tree, "2")
    if not dvc_init:
        commit(tree, "start")


def clone(remote: Path, target: Path) -> Path:
    """A checkout of somebody else."""
    git(target.parent, "clone", "-q", str(remote), str(target))
    return target


def state_of_person(tree: Path) -> tuple[object, ...]:
    """What a run must leave as it is: branch, head, index, files, stashes, settings."""
    files = {
        path: path.read_bytes()
        for path in tree.rglob("*")
        if path.is_file() and not {".git", ".roadseg", "tmp", "cache"}.intersection(path.relative_to(tree).parts)
    }
    kept = [(tree / ".git" / name).read_bytes() for name in ("HEAD", "index", "config")]
    return git(tree, "for-each-ref", "refs/heads/main", "refs/stash", "refs/tags"), *kept, files


def give_remotes(tree: Path) -> None:
    """Make a bare remote of git and one of DVC beside a checkout, and push all that is there."""
    git(tree.parent, "init", "-q", "--bare", "-b", "main", str(tree.parent / "remote.git"))
    run(tree, "dvc", "remote", "add", "-q", "-d", "store", str(tree.parent / "store"))
    commit(tree, "name a remote")
    git(tree, "remote", "add", "origin", str(tree.parent / "remote.git"))
    git(tree, "push", "-q", "-u", "origin", "main")
