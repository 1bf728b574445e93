"""Earlier versions of the graph's outs: named by dvc.lock in git's history, read from DVC's cache."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from roadseg.contracts import paths
from roadseg.pipeline.dvc import dvc
from roadseg.pipeline.git import git

MAX_COMMITS = 50  # commits of dvc.lock; older versions tell nobody what has changed


@dataclass(frozen=True)
class Earlier:
    """A version of an out that was committed before the one on disk.

    Attributes:
        commit: the newest commit whose dvc.lock names it, short.
        day: its date, ISO.
        subject: its message's first line.
        path: its bytes in DVC's cache; None where the cache does not hold them.
    """

    commit: str
    day: str
    subject: str
    path: Path | None


def earlier_version(tree: Path, out: str) -> Earlier | None:
    """The newest committed version of an out that is not the one on disk.

    Args:
        tree: the folder that holds dvc.lock.
        out: a file that a stage makes, POSIX, relative to `tree`.

    Returns:
        None outside git, and where no commit names another version.
    """
    here = hashlib.md5((tree / out).read_bytes(), usedforsecurity=False).hexdigest()  # DVC names files by it
    listed = git(tree, "log", f"--max-count={MAX_COMMITS}", "--format=%h%x09%cs%x09%s", "--", str(paths.LOCK))
    for line in listed.splitlines():
        commit, day, subject = line.split("\t", 2)
        md5 = _locked(git(tree, "show", f"{commit}:./dvc.lock"), out)
        if md5 and md5 != here:
            cached = Path(dvc(tree, "cache", "dir").strip()) / "files/md5" / md5[:2] / md5[2:]
            return Earlier(commit, day, subject, cached if cached.exists() else None)
    return None


def _locked(lock: str, out: str) -> str | None:
    """The md5 by which a dvc.lock names a file."""
    try:
        content: Any = yaml.safe_load(lock)
        entries = [entry for stage in content["stages"].values() for entry in stage.get("outs", [])]
    except (yaml.YAMLError, TypeError, KeyError, AttributeError):  # a commit may hold anything, conflict marks too
        return None
    return next((entry.get("md5") for entry in entries if entry.get("path") == out), None)
