"""What a run commits: the overrides that it was asked for, then its results, on a branch of its own."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.pipeline.settings import change_settings, read_settings
from roadseg.workspace.commits import point, stage_files
from roadseg.workspace.data_branch import DATA_FILES
from roadseg.workspace.plumbing import asked, commit_of, contains, must, prefix_of
from roadseg.workspace.remote import HEADS, Committed, fetch, push, remote_of

RESULTS = (paths.PARAMS, paths.LOCK, paths.METRICS, paths.VERDICT)
KEPT = "refs/roadseg/results/"  # where git can have no branch
Overrides = Mapping[str, Mapping[str, Any]]


def set_overrides(tree: Path, overrides: Overrides) -> list[str]:
    """Write overrides into params.yaml of a tree; keys of it as they were changed: `train.epochs 16 -> 24`.

    Args:
        tree: the project folder.
        overrides: values by section and key; None leaves a key as it is.

    Raises:
        UsageError: params.yaml has no such key.
    """
    settings, changed = read_settings(tree / paths.PARAMS), []
    for section, values in overrides.items():
        given = {key: value for key, value in values.items() if value is not None}
        for key, value in given.items():
            if key not in settings.get(section, {}):
                raise UsageError(f"{paths.PARAMS} of this revision has no {section}.{key}: leave the override out")
            if settings[section][key] != value:
                changed.append(f"{section}.{key} {settings[section][key]} -> {value}")
        if given:
            change_settings(tree / paths.PARAMS, section, given)
    return changed


def write_overrides(tree: Path, overrides: Overrides) -> str:
    """Write overrides into the workspace's params.yaml and commit them with the data files, before the run.

    Returns:
        The commit that holds all that decides the run, 40 hex; the one it stood on where nothing changes.

    Raises:
        UsageError: see `set_overrides`.
    """
    changed = set_overrides(tree, overrides)
    _commit(tree, [paths.PARAMS, *DATA_FILES], "; ".join(changed) or "Take the data of roadseg/data")
    return commit_of(tree, "HEAD")


def branch_name(deployment: str, run: str, started: float) -> str:
    """The branch of a run's results: `roadseg/<deployment>/<day it started>-<first 8 characters of the run's id>`."""
    return f"roadseg/{deployment}/{datetime.fromtimestamp(started, UTC):%Y-%m-%d}-{run[:8]}"


def commit_results(tree: Path, branch: str, message: str) -> Committed:
    """Commit what a run has made, on a branch, and push that.

    Args:
        tree: the project folder of the workspace.
        branch: wanted; one that others have taken gets a number behind it.
        message: of the commit.

    Returns:
        What became of it. The commit is never lost: where git can have no such branch, a ref of ours holds it.
    """
    _commit(tree, [*RESULTS, *DATA_FILES], message)
    return keep_commit(tree, branch)


def keep_commit(tree: Path, branch: str) -> Committed:
    """Let a branch hold the commit that the workspace stands on, and push it; see `commit_results`."""
    commit = commit_of(tree, "HEAD")
    name = _free(tree, branch, commit)
    try:
        point(tree, name, commit, commit_of(tree, HEADS + name))
    except UsageError as error:
        must(tree, "update-ref", KEPT + branch, commit)
        return Committed(commit, KEPT + branch, False, f"the results are kept as {KEPT}{branch}: {error}")
    return push(tree, commit, name)


def apply_results(repository: Path, branch: str) -> list[str]:
    """Bring a run's parameters, lock, scores and verdict, and the files of its data, into a person's checkout.

    They are staged and not committed: the commit is the person's, with their name, hooks and signature, and after a
    look at the difference.

    Args:
        repository: the project folder of the checkout.
        branch: of the run.

    Returns:
        The files that changed.

    Raises:
        UsageError: the branch is not there, or one of the files has changes that no commit holds.
    """
    commit = _find(repository, branch)
    listed = must(repository, "ls-tree", "-r", "--name-only", commit, "--", *map(str, (*RESULTS, *DATA_FILES)))
    files = listed.splitlines()
    status = must(repository, "status", "--porcelain", "--no-renames", "-z", "--", *files).split("\0")
    if edited := [entry[3:].removeprefix(prefix_of(repository)) for entry in status if entry]:
        raise UsageError(
            f"{', '.join(edited)}: changed and not committed, so nothing is brought: commit or `git restore` them first"
        )
    changed = must(repository, "diff", "--name-only", "--relative", "HEAD", commit, "--", *files).splitlines()
    if changed:
        must(repository, "checkout", "--quiet", commit, "--", *changed)
    return changed


def _find(repository: Path, branch: str) -> str:
    if commit := commit_of(repository, branch):
        return commit
    remote = remote_of(repository)
    if remote and (commit := fetch(repository, remote, branch).commit):
        return commit
    raise UsageError(f"branch {branch} is not in {repository}: the run committed no results, or its branch was deleted")


def _free(tree: Path, branch: str, commit: str) -> str:
    """The branch, or it with a number: one that this commit does not go on from is another run's."""
    for name in (branch, *(f"{branch}-{number}" for number in range(2, 100))):
        there = commit_of(tree, HEADS + name)
        if not there or contains(tree, commit, there):
            return name
    raise UsageError(f"branch {branch} and 98 more of its name are taken: delete old ones")


def _commit(tree: Path, files: list[Path], message: str) -> None:
    """Commit files as they are; nothing where nothing changed."""
    stage_files(tree, files)
    if asked(tree, "diff", "--cached", "--quiet").returncode:
        must(tree, "commit", "--quiet", "--no-verify", "-m", message)
