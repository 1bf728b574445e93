"""The worktrees in home: the workspace that a run works in, and one without data that answers what changed."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from roadseg.contracts import paths
from roadseg.contracts.errors import Busy, UsageError
from roadseg.contracts.files import home, replacing
from roadseg.contracts.splits import write_splits
from roadseg.pipeline.dvc import cache_folder, dvc, dvc_json, share_settings
from roadseg.workspace.commits import state_of
from roadseg.workspace.data import missing_objects, raw_md5
from roadseg.workspace.data_branch import DATA_FILES, LATER, current_data, move_forward
from roadseg.workspace.lock import Holder, present_holder, workspace_lock
from roadseg.workspace.plumbing import asked, maybe, must, prefix_of
from roadseg.workspace.records import RunRecord
from roadseg.workspace.remote import push_left
from roadseg.workspace.revision import SHORT

WRITES = {"checkout", "clean", "worktree", "commit", "add", "rm"}  # of git
LEFT = 30.0  # seconds in which what a killed run has started must have ended


@contextmanager
def workspace(
    repository: Path, commit: str, me: Holder, say: Callable[[str], object] = lambda _: None
) -> Iterator[Path]:
    """Hold the workspace, at a commit and with the data files to use; it is kept afterwards, so that people can look.

    Args:
        repository: the project folder of the person's checkout, in which nothing changes.
        commit: to work on, 40 hex.
        me: the run that works there.
        say: is told what did not work beside it, in sentences for people.

    Yields:
        The project folder in it. Ignored files are those of the run before: data are brought by `bring_data`.

    Raises:
        Held: another run holds it.
        Busy: what a killed run has started is still there.
        UsageError: see `data_branch.current_data`; or git cannot make it.
    """
    with workspace_lock(me):
        _wait_for_left(home() / "workspace")
        for branch in push_left(repository):
            say(f"{branch} is still not at the remote; the next run tries again")
        data = current_data(repository, commit)
        if data.moves and (problem := move_forward(repository, data.commit).problem):
            say(problem)
        tree = stand(repository, home() / "workspace", commit)
        with replacing(_last()) as temporary:
            temporary.write_text(me.run, encoding="utf-8")
        lay_data_files(tree, data.commit)
        yield tree


@contextmanager
def looking_tree(repository: Path, commit: str) -> Iterator[Path]:
    """Hold the worktree that never has data, at a commit; whoever comes second waits."""
    top = home() / "look"
    top.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(home() / "look.lock"):
        yield stand(repository, top, commit)


def bring_data(tree: Path) -> dict[str, Any] | None:
    """Bring data/raw, and of what the graph has made as much as the cache holds.

    Returns:
        What `dvc status` says, where the run before left every file as the lock has it: to check them out all the same
        takes longer than to ask. None where files were brought.

    Raises:
        UsageError: data are neither in the cache nor at a remote; says how many files.
    """
    if not (tree / paths.RAW_DVC).exists():
        raise UsageError(f"{tree / paths.RAW_DVC} is missing: `roadseg data import ARCHIVE`, then commit it")
    md5, cache = raw_md5((tree / paths.RAW_DVC).read_text(encoding="utf-8")), cache_folder(tree)
    if lacking := missing_objects(cache, md5):
        if not dvc(tree, "remote", "list").strip():
            raise UsageError(
                f"{paths.RAW} (md5 {md5}): {lacking} of its files are not in DVC's cache {cache}, and there is no "
                "remote: `dvc add data/raw` where the data are, or `dvc remote add`"
            )
        dvc(tree, "pull", "--force", str(paths.RAW_DVC))
    status: dict[str, Any] = dvc_json(tree, "status")
    entries = [entry for each in status.values() for entry in each if isinstance(entry, dict)]
    if not any("changed outs" in entry for entry in entries):
        return status
    dvc(tree, "checkout", "--force", "--allow-missing")
    return None


def place_of(record: RunRecord) -> str:
    """Where the workspace of a run is, in words; empty where another run has been in it since."""
    top, holder = home() / "workspace", present_holder()
    if not top.is_dir() or not _last().exists() or _last().read_text(encoding="utf-8") != record.run:
        return ""
    return f"{top}, {'in use by this run' if holder and holder.run == record.run else 'as this run left it'}"


def stand(repository: Path, top: Path, commit: str) -> Path:
    """Make or move a worktree of ours: at a commit, on no branch, clean but for what git ignores.

    Args:
        repository: the project folder of a checkout.
        top: where the worktree is.
        commit: 40 hex.

    Returns:
        The project folder in it.

    Raises:
        UsageError: the commit does not hold the project, or git fails.
    """
    prefix = prefix_of(repository)
    if not maybe(repository, "cat-file", "-t", f"{commit}:{prefix}{paths.GRAPH}"):
        raise UsageError(f"commit {commit[:SHORT]} has no {prefix}{paths.GRAPH}: it does not hold the project")
    if _belongs(repository, top):
        for lock in Path(must(top, "rev-parse", "--absolute-git-dir")).glob("*.lock"):  # of a git that was killed
            lock.unlink(missing_ok=True)
        done = asked(top, "checkout", "--quiet", "--force", "--detach", commit)
        if done.returncode:
            _make(repository, top, commit)
        must(top, "clean", "-ffdq")
    else:
        _make(repository, top, commit)
    tree = top / prefix
    (tree / ".dvc").mkdir(exist_ok=True)
    share_settings(repository, tree)
    return tree


def lay_data_files(tree: Path, commit: str) -> None:
    """Put the data files of a commit into a worktree and its index."""
    for path, blob in zip(DATA_FILES, state_of(tree, commit, DATA_FILES), strict=True):
        if blob is None:
            must(tree, "rm", "--quiet", "--force", "--ignore-unmatch", "--", str(path))
            if path in LATER:
                write_splits(tree / path, [])  # the graph needs one
        else:
            must(tree, "checkout", "--quiet", "--force", commit, "--", str(path))


def _last() -> Path:
    """Where the id of the run stands that was last in the workspace: two runs may share its commit."""
    return home() / "workspace.last"


def _belongs(repository: Path, top: Path) -> bool:
    """Whether a folder is a whole worktree of this repository."""
    if not (top / ".git").is_file():
        return False
    ours, theirs = (
        maybe(tree, "rev-parse", "--path-format=absolute", "--git-common-dir") for tree in (top, repository)
    )
    return ours == theirs != "" and Path(maybe(top, "rev-parse", "--show-toplevel")).resolve() == top.resolve()


def _make(repository: Path, top: Path, commit: str) -> None:
    _clear(top)
    top.parent.mkdir(parents=True, exist_ok=True)
    # twice force: git remembers a locked worktree whose folder is gone
    must(repository, "worktree", "add", "--quiet", "--force", "--force", "--detach", str(top), commit)
    asked(repository, "worktree", "lock", "--reason", "roadseg", str(top))


def _clear(top: Path) -> None:
    """Remove what is there; of a link to a folder on another disk what is in that."""
    if not top.is_dir():
        top.unlink(missing_ok=True)
    elif top.is_symlink():
        for path in top.iterdir():
            _clear(path)
    else:
        shutil.rmtree(top)


def _wait_for_left(top: Path) -> None:
    """Wait until DVC and trainer of a killed run have ended; the kernel has told them to.

    Raises:
        Busy: one of them has not.
    """
    deadline = time.monotonic() + LEFT
    while left := [process for process in psutil.process_iter() if _works_in(process, top)]:
        if time.monotonic() > deadline:
            numbers = ", ".join(str(process.pid) for process in left)
            raise Busy(f"a killed run left process {numbers} in {top}: wait until it ends, or `kill -9 {numbers}`")
        time.sleep(0.2)


def _works_in(process: psutil.Process, top: Path) -> bool:
    """Whether a process is DVC, a stage, or git that writes there; not whoever looks around."""
    try:
        words = process.cmdline()
        there = Path(process.cwd()).is_relative_to(top) or str(top) in words  # `git worktree add` runs elsewhere
        return there and process.status() != psutil.STATUS_ZOMBIE and _is_ours(words)
    except (psutil.Error, OSError):
        return False


def _is_ours(words: list[str]) -> bool:
    names = [Path(word).name for word in words[:2]]
    modules = {word.partition(".")[0] for flag, word in pairwise(words) if flag == "-m"}
    return (
        "dvc" in names
        or not modules.isdisjoint(("dvc", "roadseg"))
        or ("git" in names and not WRITES.isdisjoint(words))
    )
