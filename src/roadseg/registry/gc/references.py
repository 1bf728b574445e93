"""What git, work trees and kept runs name: everything in a lock that looks like a digest counts as reached."""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from roadseg.contracts.errors import UsageError

OBJECT = r"[0-9a-f]{32}(\.dir)?"  # of DVC's cache
WEIGHTS = r"[0-9a-f]{64}"  # of train.init
LOCKS, PARAMS = (":(top)*.dvc", ":(top)*dvc.lock"), (":(top)*params.yaml",)


@dataclass
class Reached:
    """What must stay.

    Attributes:
        objects: names in DVC's cache.
        weights: digests that a `train.init` names.
        fingerprints: of trainings.
        evaluations: digests of evaluations.
    """

    objects: set[str] = field(default_factory=set)
    weights: set[str] = field(default_factory=set)
    fingerprints: set[str] = field(default_factory=set)
    evaluations: set[str] = field(default_factory=set)

    def read(self, lock: str) -> None:
        """Take what the text of a dvc.lock or .dvc file names, dependencies too."""
        self.objects |= objects_in(lock)


def objects_in(text: str) -> set[str]:
    """Names in DVC's cache in a text."""
    return {match[0] for match in re.finditer(rf"\b{OBJECT}(?![0-9a-f])", text)}


def in_git(tree: Path) -> Reached:
    """What branches, those of remotes too, tags, the stash, HEAD and every work tree name.

    Raises:
        UsageError: git cannot be asked; with what it said.
    """
    reached = Reached()
    kinds = ("refs/heads", "refs/tags", "refs/remotes", "refs/stash")
    heads = set(_git(tree, "for-each-ref", "--format=%(objectname)", *kinds).split())
    for head in sorted(heads | set(_git(tree, "rev-parse", "HEAD").split())):
        if _git(tree, "cat-file", "-t", f"{head}^{{}}").strip() != "commit":
            continue  # a tag may name any object
        read_commit(tree, head, reached)
    for line in _git(tree, "worktree", "list", "--porcelain", "-z").split("\0"):
        place = Path(line.removeprefix("worktree "))
        if line.startswith("worktree ") and place.is_dir():
            for files in ("--untracked", "--cached"):
                _take(place, reached, files)
    return reached


def read_commit(tree: Path, commit: str, reached: Reached) -> None:
    """Take what the locks and parameters of a commit name."""
    _take(tree, reached, commit=commit)


def _take(place: Path, reached: Reached, *files: str, commit: str = "") -> None:
    where = [commit] if commit else []
    for pattern, paths, found in ((OBJECT, LOCKS, reached.objects), (WEIGHTS, PARAMS, reached.weights)):
        found |= set(_git(place, "grep", "-hoE", "--no-color", *files, pattern, *where, "--", *paths, none=1).split())


def _git(tree: Path, *arguments: str, none: int = 0) -> str:
    """What git prints; `none` is the exit code with which a search says that it found nothing."""
    try:
        done = subprocess.run(["git", *arguments], cwd=tree, capture_output=True, text=True, errors="replace")
    except FileNotFoundError:
        raise UsageError("git is not installed: on Debian `apt-get install git`") from None
    if done.returncode not in (0, none):
        raise UsageError(f"`git {' '.join(arguments[:2])}` in {tree} failed: {' '.join(done.stderr.split())}")
    return done.stdout
