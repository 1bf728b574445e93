"""What git knows of the tree that a model came from."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GitState:
    """Commit (empty outside a repository), whether the tree differs from it, and the difference of tracked files."""

    commit: str
    dirty: bool
    diff: str


def git_state(tree: Path) -> GitState:
    """Look at the repository that holds `tree`."""
    commit = git(tree, "rev-parse", "--verify", "--quiet", "HEAD").strip()
    if not commit:
        return GitState("", True, "")
    return GitState(commit, bool(git(tree, "status", "--porcelain").strip()), git(tree, "diff", "HEAD"))


def git(tree: Path, *arguments: str) -> str:
    """What a git command prints in `tree`; nothing where it fails."""
    return subprocess.run(["git", *arguments], cwd=tree, capture_output=True, text=True, errors="replace").stdout
