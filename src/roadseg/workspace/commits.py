"""Commits and branches made without a working tree, and which version of some files a commit has."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from roadseg.contracts.errors import UsageError
from roadseg.workspace.plumbing import asked, commit_of, must, prefix_of, root_of
from roadseg.workspace.plumbing import reason as said
from roadseg.workspace.remote import HEADS

MOST = 1000  # versions of the files that are looked at
STALE = 60.0  # seconds after which a lock of a ref of ours was left by a git that was killed

State = tuple[str | None, ...]  # ids of the files' contents in order, None for a file that is not there


def state_of(tree: Path, commit: str, files: Sequence[Path]) -> State:
    """The version of some files that a commit has; an empty commit stands for the tree's index."""
    return _states(tree, [commit], files)[0]


def states_of(tree: Path, commit: str, files: Sequence[Path]) -> set[State]:
    """Every version of some files in the history of a commit."""
    limit = ("--full-history", f"--max-count={MOST}")
    commits = must(tree, "rev-list", *limit, commit, "--", *map(str, files)).split()
    return set(_states(tree, [commit, *commits], files))


def _states(tree: Path, commits: Sequence[str], files: Sequence[Path]) -> list[State]:
    prefix = prefix_of(tree)
    wanted = "".join(f"{commit}:{prefix}{path}\n" for commit in commits for path in files)
    lines = must(tree, "cat-file", "--batch-check=%(objectname)", told=wanted).splitlines()
    found = [None if line.endswith(" missing") else line for line in lines]
    return [tuple(found[at : at + len(files)]) for at in range(0, len(found), len(files))]


def commit_files(
    repository: Path, base: str, parents: Sequence[str], files: Mapping[Path, str | None], message: str
) -> str:
    """Make a commit: the tree of `base` with some files changed.

    Args:
        repository: the project folder.
        base: whose other files it has.
        parents: of the commit.
        files: ids of contents by path relative to the project folder, see `store`; None removes the file.
        message: of the commit.

    Returns:
        Its id; `base` itself where that is the only parent and nothing would change.
    """
    root, prefix = root_of(repository), prefix_of(repository)
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder, "index")
        must(root, "read-tree", base, index=index)
        for path, blob in files.items():
            name = f"{prefix}{path}"
            if blob is None:
                must(root, "update-index", "--force-remove", "--", name, index=index)
                continue
            must(root, "update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", index=index)
        tree = must(root, "write-tree", index=index)
    if list(parents) == [base] and tree == must(root, "rev-parse", f"{base}^{{tree}}"):
        return base
    return must(root, "commit-tree", tree, *(part for parent in parents for part in ("-p", parent)), "-m", message)


def store(tree: Path, path: Path) -> str | None:
    """Put a file of a tree into git's store; the id of its content, None where it is not there."""
    return must(tree, "hash-object", "-w", "--", str(path)) if (tree / path).exists() else None


def stage_files(tree: Path, files: Sequence[Path]) -> None:
    """Put files as they are into a tree's index, also that they are gone."""
    known = must(tree, "ls-files", "--", *map(str, files)).splitlines()
    names = [str(path) for path in files if (tree / path).exists() or str(path) in known]
    if names:  # git would take all files for none
        must(tree, "add", "--all", "--force", "--", *names)


def point(repository: Path, branch: str, commit: str, before: str) -> None:
    """Let a branch name a commit.

    Args:
        repository: a folder of it.
        branch: its name.
        commit: where to.
        before: where it stands now, empty for a new one.

    Raises:
        UsageError: it stands elsewhere, is checked out, or a branch of a shorter name blocks it; says what to do.
    """
    refuse_blocked(repository, branch)
    if commit != before:
        refuse_checked_out(repository, branch)
    _remove_stale_lock(repository, HEADS + branch)
    done = asked(repository, "update-ref", HEADS + branch, commit, before)
    if done.returncode:
        raise UsageError(f"branch {branch} cannot be moved to {commit}: {said(done)}")


def _remove_stale_lock(repository: Path, ref: str) -> None:
    lock = Path(must(repository, "rev-parse", "--path-format=absolute", "--git-path", f"{ref}.lock"))
    with suppress(FileNotFoundError):
        if time.time() - lock.stat().st_mtime > STALE:
            lock.unlink()


def refuse_checked_out(repository: Path, branch: str) -> None:
    """Look whether a branch can be moved: in a checkout of it all its files would read as changed.

    Raises:
        UsageError: it is checked out; says where.
    """
    for folder, checked_out in _checked_out(repository):
        if checked_out == HEADS + branch:
            raise UsageError(f"branch {branch} is checked out in {folder} and cannot be moved: `git switch` to another")


def refuse_blocked(repository: Path, branch: str) -> None:
    """Look whether git can have a branch of this name.

    Raises:
        UsageError: there is one of a part of it: `roadseg` where `roadseg/data` is wanted.
    """
    parts = branch.split("/")
    for count in range(1, len(parts)):
        shorter = "/".join(parts[:count])
        if commit_of(repository, HEADS + shorter):
            raise UsageError(
                f"a branch named {shorter} is there, so git can have none named {branch}: "
                f"`git branch -m {shorter} ANOTHER-NAME`"
            )


def _checked_out(repository: Path) -> list[tuple[str, str]]:
    """Folder and branch of every working tree that is on one."""
    listed = must(repository, "worktree", "list", "--porcelain").split("\n\n")
    fields = [dict(line.partition(" ")[::2] for line in block.splitlines()) for block in listed]
    return [(each["worktree"], each["branch"]) for each in fields if "branch" in each]
