"""DVC as a command in a tree; in one process it would resolve paths against the current folder and take no lock."""

import configparser
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roadseg.contracts.errors import Busy, UsageError
from roadseg.contracts.files import home

WAITING = (sys.executable, "-m", "dvc", "--wait-for-lock")
BLOCKED = re.compile(r"'(.+)' is busy, it is being blocked by:.*?\(PID (\d+)\)", re.DOTALL)  # not what it waits for


def dvc_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The current environment and `more`, with this interpreter first on the path for `python` in dvc.yaml."""
    scripts = str(Path(sys.executable).parent)
    path = os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)])
    cache = Path(os.environ.get("DVC_SITE_CACHE_DIR") or home() / "dvc")
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)  # DVC would let everybody write, and unpickles what is there
    return {**os.environ, "PATH": path, "DVC_SITE_CACHE_DIR": str(cache), **(more or {})}


def dvc(tree: Path, *arguments: str) -> str:
    """Run one DVC command in `tree` and return what it prints.

    Raises:
        Busy: another DVC works on the same files.
        UsageError: it failed; with what it said.
    """
    done = subprocess.run([*WAITING, *arguments], cwd=tree, env=dvc_environment(), capture_output=True, text=True)
    if done.returncode:
        refuse_busy(done.stderr)
        raise UsageError(f"`dvc {' '.join(arguments)}` in {tree} failed: {_reason(done.stderr or done.stdout)}")
    return done.stdout


def refuse_busy(said: str) -> None:
    """Look into what a DVC that failed has said.

    Raises:
        Busy: it was refused for another process, which is named.
    """
    if found := BLOCKED.search(said):
        raise Busy(f"{found[1]} is in use by process {found[2]}: wait until that ends, then run the same command")


def _reason(said: str) -> str:
    """The errors among what DVC printed, in one line."""
    errors = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
    return "; ".join(errors) or " ".join(said.split()) or "it said nothing"


def dvc_json(tree: Path, *arguments: str) -> Any:
    """Run one DVC command with `--json` and parse what it prints."""
    return json.loads(dvc(tree, *arguments, "--json") or "{}")


def share_settings(source: Path, target: Path) -> None:
    """Let a tree use the cache and the remotes of another checkout of the project.

    Args:
        source: that checkout, the folder that holds dvc.yaml.
        target: the tree.
    """
    own = target / ".dvc/config.local"
    own.unlink(missing_ok=True)
    own.touch(mode=0o600)  # a password may be in it
    settings = _settings(source)
    for section in settings.values():
        for key, value in section.items():
            if (
                "%(" in value and Path(value).is_absolute()
            ):  # DVC would put a setting's value there, and knows no escape
                section[key] = os.path.relpath(value, own.parent.resolve())
    with own.open("w", encoding="utf-8") as opened:
        settings.write(opened)


def cache_folder(tree: Path) -> Path:
    """Where DVC keeps a checkout's files, as its settings say: asking DVC takes a second and a half."""
    return Path(_settings(tree)["cache"]["dir"])


def _settings(tree: Path) -> configparser.ConfigParser:
    """DVC's settings of a checkout, and of the user and the machine; what they name relative to it becomes absolute."""
    folder = tree / ".dvc"
    user = os.environ.get("DVC_GLOBAL_CONFIG_DIR") or Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config", "dvc")
    machine = os.environ.get("DVC_SYSTEM_CONFIG_DIR") or "/etc/xdg/dvc"
    settings = configparser.ConfigParser(interpolation=None)
    settings["cache"] = {"dir": "cache"}
    outside = [Path(each).expanduser() / "config" for each in (machine, user)]
    settings.read([*outside, folder / "config", folder / "config.local"], encoding="utf-8")
    for section in settings.values():
        for key, value in section.items():
            place = folder / value.strip("\"'")
            if (key, section.name) == ("dir", "cache") or (value and place.exists()):
                section[key] = str(place.resolve())
    return settings
