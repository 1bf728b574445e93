"""DVC as a command in a tree; in one process it would resolve paths against the current folder and take no lock."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roadseg.contracts.errors import UsageError

WAITING = (sys.executable, "-m", "dvc", "--wait-for-lock")


def dvc_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The current environment and `more`, with this interpreter first on the path for `python` in dvc.yaml."""
    scripts = str(Path(sys.executable).parent)
    path = os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, **(more or {})}


def dvc(tree: Path, *arguments: str) -> str:
    """Run one DVC command in `tree` and return what it prints.

    Raises:
        UsageError: it failed; with what it said.
    """
    done = subprocess.run([*WAITING, *arguments], cwd=tree, env=dvc_environment(), capture_output=True, text=True)
    if done.returncode:
        raise UsageError(f"`dvc {' '.join(arguments)}` in {tree} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def dvc_json(tree: Path, *arguments: str) -> Any:
    """Run one DVC command with `--json` and parse what it prints."""
    return json.loads(dvc(tree, *arguments, "--json") or "{}")
