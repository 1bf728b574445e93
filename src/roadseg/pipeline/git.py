"""What git knows of the tree that a model came from."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from roadseg.contracts import paths
from roadseg.pipeline.graph import read_graph

LONGEST = 1 << 20  # characters of a difference that are kept; generated files make gigabytes
NO_HELPERS = ("--no-ext-diff", "--no-textconv")  # programs that the user's configuration names


@dataclass(frozen=True)
class GitState:
    """What git says of a tree, without what lies outside of it and without the files that the graph writes.

    Attributes:
        commit: empty outside a repository and where there is none yet.
        dirty: whether the tree differs from it.
        diff: the difference of tracked files, at most `LONGEST` characters.
        problem: why git cannot be asked in a repository that is there, and what to do; empty where it can.
    """

    commit: str
    dirty: bool
    diff: str
    problem: str = ""


def git_state(tree: Path) -> GitState:
    """Look at the repository that holds `tree`."""
    try:
        asked = _run(tree, "rev-parse", "--verify", "HEAD")
    except FileNotFoundError:
        return GitState("", True, "", "git is not installed: on Debian `apt-get install git`")
    if "dubious ownership" in asked.stderr:
        trusted = f"git config --global --add safe.directory {tree.resolve()}"
        return GitState("", True, "", f"the repository belongs to another user, so git does not read it: `{trusted}`")
    commit = asked.stdout.strip()
    if asked.returncode or not commit:
        return GitState("", True, "")
    places = (".", *(f":(exclude){path}" for path in _written(tree)))
    dirty = bool(git(tree, "status", "--porcelain", "--untracked-files=normal", "--", *places).strip())
    diff = git(tree, "diff", *NO_HELPERS, "--relative", "HEAD", "--", *places)
    if len(diff) > LONGEST:
        diff = f"{diff[:LONGEST]}\n[{len(diff) - LONGEST} more characters are left out]\n"
    return GitState(commit, dirty, diff)


def git(tree: Path, *arguments: str) -> str:
    """What a git command prints in `tree`; nothing where it fails."""
    try:
        return _run(tree, *arguments).stdout
    except FileNotFoundError:
        return ""


def _run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=tree, capture_output=True, text=True, errors="replace")


def _written(tree: Path) -> list[str]:
    """What a run of the graph itself changes, so that it says nothing of what the run started from."""
    if not (tree / paths.GRAPH).exists():
        return []
    return [str(paths.LOCK), *(out for stage in read_graph(tree) for out in stage.outs)]
