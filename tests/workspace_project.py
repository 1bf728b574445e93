"""A project of two stages that run in no time, with real git and DVC, and commands in it."""

import subprocess
from pathlib import Path

from trees import commit, run

DVC_YAML = """
stages:
  scan:
    cmd: cp data/raw/leftImg8bit/train/1/a_image.jpg data/scan.parquet
    deps: [data/raw, data/classes.yaml, src/roadseg/scan]
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


def git(tree: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, f"git {arguments}: {done.stderr}"
    return done.stdout.strip()


def write(tree: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)


def add_drive(tree: Path, drive: str, content: str = "image") -> None:
    """Put a drive into data/raw and version it; nothing is committed."""
    write(
        tree,
        {
            f"data/raw/leftImg8bit/train/{drive}/a_image.jpg": f"{content} {drive}",
            f"data/raw/gtFine/train/{drive}/a_label.png": f"mask {drive}",
        },
    )
    run(tree, "dvc", "add", "-q", "data/raw")


def make_project(tree: Path) -> None:
    write(
        tree,
        {
            "dvc.yaml": DVC_YAML,
            "params.yaml": PARAMS,
            ".gitignore": "/.roadseg/\n/data/raw\n/data/scan.parquet\n__pycache__/\n",
            "data/classes.yaml": "name: tiny\n",
            "data/quarantine.csv": "sample\n",
            "data/reference.json": "{}\n",
            "src/roadseg/scan/stage.py": "one = 1\n",
            "src/roadseg/evaluate/stage.py": "one = 1\n",
            "src/roadseg/pages/page.py": "one = 1\n",
        },
    )
    if not (tree / ".git").exists():
        git(tree, "init", "-q", "-b", "main")
    run(tree, "dvc", "init", "-q", *(["--subdir"] if not (tree / ".git").exists() else []))
    add_drive(tree, "1")
    add_drive(tree, "2")
    commit(tree, "start")
