"""What git, work trees and kept runs name: everything in a lock that looks like a digest counts as reached."""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from roadseg.contracts.errors import UsageError

OBJECT = r"\b[0-9a-f]{32}(?:\.dir)?(?![0-9a-f])"  # of DVC's cache
WEIGHTS = r"[0-9a-f]{64}"  # of train.init
IMPORTED, LOCKS, PARAMS = ":(top)*.dvc", ":(top)*dvc.lock", ":(top)*params.yaml"


@dataclass
class Reached:
    """What must stay.

    Attributes:
        objects: names in DVC's cache.
        weights: digests that a `train.init` names.
        fingerprints: of trainings.
    """

    objects: set[str] = field(default_factory=set)
    weights: set[str] = field(default_factory=set)
    fingerprints: set[str] = field(default_factory=set)

    def read(self, lock: str) -> None:
        """Take what the text of a dvc.lock or .dvc file names, dependencies too."""
        self.objects |= objects_in(lock)


def objects_in(text: str) -> set[str]:
    """Names in DVC's cache in a text."""
    return set(re.findall(OBJECT, text))


def in_git(tree: Path) -> Reached:
    """What git names: its whole history of data, and of what can be made again the heads.

    Raises:
        UsageError: git cannot be asked; with what it said.
    """
    reached = Reached()
    reached.read(_imported(tree))
    if heads := _heads(tree):
        _take(tree, reached, *heads)
    for place in work_trees(tree):
        for files in ("--untracked", "--cached"):
            _take(place, reached, files)
    return reached


def work_trees(tree: Path) -> list[Path]:
    """The work trees of a repository that are there."""
    lines = _git(tree, "worktree", "list", "--porcelain", "-z").split("\0")
    places = [Path(line.removeprefix("worktree ")) for line in lines if line.startswith("worktree ")]
    return [place for place in places if place.is_dir()]


def _imported(tree: Path) -> str:
    """All that .dvc files have ever held, in any commit that git still has: the cache may be the data's only place."""
    every = ("--all", "--reflog", "--full-history", "--root", "-m")  # the sides of a merge, and the merge itself
    raw = ("--raw", "--no-abbrev", "--no-renames", "--format=")
    lines = _git(tree, "-c", "log.diffMerges=separate", "log", *every, *raw, "--", IMPORTED).splitlines()
    blobs = {blob for line in lines if line.startswith(":") for blob in line.split()[2:4] if blob.strip("0")}
    return _git(tree, "cat-file", "--batch", given="".join(f"{blob}\n" for blob in sorted(blobs)))


def _heads(tree: Path) -> list[str]:
    """Commits of all refs, DVC's experiments among them, of all work trees' HEADs, and of each entry of a stash."""
    heads = set(_git(tree, "rev-list", "--no-walk", "--all").split())
    # below the newest entry a stash is a log; DVC queues experiments in stashes of its own
    if stashes := _git(tree, "for-each-ref", "--format=%(refname)", "refs/stash", "refs/exps").split():
        heads |= set(_git(tree, "rev-list", "-g", "--parents", *stashes, "--").split())
    return sorted(heads)


def _take(place: Path, reached: Reached, *where: str) -> None:
    """Search the locks and parameters of commits, of a work tree or of its index."""
    search = ("grep", "-hE", "--no-color", "-e", "[0-9a-f]{32}", *where, "--")
    reached.read(_git(place, *search, LOCKS, IMPORTED, none=1))
    reached.weights |= set(re.findall(WEIGHTS, _git(place, *search, PARAMS, none=1)))


def _git(tree: Path, *arguments: str, given: str = "", none: int = 0) -> str:
    """What git prints; `none` is the exit code with which a search says that it found nothing."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=tree, input=given, capture_output=True, text=True, errors="replace"
        )
    except FileNotFoundError:
        raise UsageError("git is not installed: on Debian `apt-get install git`") from None
    if done.returncode not in (0, none):
        raise UsageError(f"`git {' '.join(arguments[:2])}` in {tree} failed: {' '.join(done.stderr.split())}")
    return done.stdout
