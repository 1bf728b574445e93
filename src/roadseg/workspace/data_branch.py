"""The branch `roadseg/data`: the files that decide the data, advanced by imports and by the person's own commits.

A run takes them from the branch, unless its commit has newer ones. What "newer" means: the branch contains the commit,
or the commit the branch; or one of them has, somewhere in its history, the state in which the other stands now.
"""

from dataclasses import dataclass
from pathlib import Path

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.workspace.commits import (
    State,
    commit_files,
    point,
    refuse_checked_out,
    stage_files,
    state_of,
    states_of,
    store,
)
from roadseg.workspace.plumbing import commit_of, contains, must, prefix_of, root_of
from roadseg.workspace.remote import HEADS, Committed, fetch, push, remote_of
from roadseg.workspace.revision import SHORT, find_revision

BRANCH = "roadseg/data"
DATA_FILES = (paths.RAW_DVC, paths.CLASSES, paths.QUARANTINE, paths.REFERENCE, paths.SPLITS)
LATER = {paths.SPLITS}  # commits of before there was one lack it, and a run gives them an empty one
ADOPT = "roadseg data adopt"


@dataclass(frozen=True)
class DataState:
    """The data files that a run uses.

    Attributes:
        commit: that holds them.
        notes: sentences for the run's page.
        moves: whether the branch is to be moved forward to them.
    """

    commit: str
    notes: tuple[str, ...] = ()
    moves: bool = False


@dataclass(frozen=True)
class Tip:
    """Where the branch stands; empty where there is none. `local` is where it stands in the repository itself."""

    commit: str
    local: str
    notes: tuple[str, ...] = ()


def current_data(repository: Path, commit: str) -> DataState:
    """Find the data files that a run on this commit uses; nothing is changed.

    Raises:
        UsageError: there are none, or both the branch and the commit changed them since they last agreed; says what
            to do.
    """
    tip = branch_tip(repository)
    notes = (*tip.notes, *_uncommitted(repository))
    own = state_of(repository, commit, DATA_FILES)
    if not tip.commit:
        _refuse_lacking(repository, commit, own)
        return DataState(commit, notes)
    there = state_of(repository, tip.commit, DATA_FILES)
    if own == there:
        return DataState(commit, notes)
    taken = (*notes, f"the data files are those of {BRANCH} ({tip.commit[:SHORT]})")
    if own[0] is None or contains(repository, tip.commit, commit):
        return DataState(tip.commit, taken)
    newer = contains(repository, commit, tip.commit)
    older = False
    if not newer:
        newer = there in states_of(repository, commit, DATA_FILES)
        older = own in states_of(repository, tip.commit, DATA_FILES)
    if newer and not older:
        return _forward(repository, commit, tip, notes)
    if older and not newer:
        return DataState(tip.commit, taken)
    raise UsageError(
        f"the data files of {commit[:SHORT]} and of {BRANCH} ({tip.commit[:SHORT]}) both changed since they last "
        f"agreed: `{ADOPT} {commit[:SHORT]}` takes the first, `{ADOPT} {BRANCH}` the second"
    )


def _forward(repository: Path, commit: str, tip: Tip, notes: tuple[str, ...]) -> DataState:
    """The commit's own data files; only a commit of the served branch moves them forward for everybody."""
    try:
        served = find_revision(repository).commit
    except UsageError:  # the served branch is gone
        served = ""
    if served and contains(repository, served, commit):
        note = f"{BRANCH} moves forward from {tip.commit[:SHORT]} to the data files of {commit[:SHORT]}"
        return DataState(commit, (*notes, note), True)
    note = f"the data files of {commit[:SHORT]} are newer than {BRANCH} and are taken for this run alone"
    return DataState(commit, (*notes, note))


def advance(repository: Path, tree: Path, message: str) -> Committed:
    """Commit a tree's data files onto the branch, which is made where it is absent, and push it.

    Args:
        repository: the project folder of the checkout.
        tree: the project folder of the workspace, whose index holds the data files that the work started from.
        message: of the commit.

    Raises:
        UsageError: the branch has moved since, or cannot be moved; nothing is lost.
    """
    refuse_checked_out(repository, BRANCH)  # before what follows from it: it may not have moved forward to this state
    tip = branch_tip(repository)
    started = state_of(tree, "", DATA_FILES)
    if tip.commit and state_of(repository, tip.commit, DATA_FILES) != started:
        raise UsageError(
            f"{BRANCH} has moved to {tip.commit[:SHORT]} since this run began; nothing is committed on it: run again"
        )
    parent = tip.commit or commit_of(tree, "HEAD")
    files = {path: store(tree, path) for path in DATA_FILES}
    commit = commit_files(repository, parent, [parent], files, message)
    _move(repository, tip, commit)
    stage_files(tree, DATA_FILES)
    return push(repository, commit, BRANCH)


def move_forward(repository: Path, commit: str) -> Committed:
    """Move the branch to the data files of a commit that has newer ones, and push it; the next run tries again."""
    tip = branch_tip(repository)
    target = commit
    if tip.commit and not contains(repository, commit, tip.commit):
        target = commit_files(repository, commit, [tip.commit, commit], {}, f"Take the data of {commit[:SHORT]}")
    try:
        _move(repository, tip, target)
    except UsageError as error:  # whoever takes the data of this commit has them all the same
        return Committed(target, BRANCH, False, str(error))
    return push(repository, target, BRANCH)


def adopt(repository: Path, revision: str) -> Committed:
    """Settle that the data files of a revision are the ones to use; both sides stay in the branch's history.

    Raises:
        UsageError: there is no such revision, or it has no data files.
    """
    commit = commit_of(repository, revision) or find_revision(repository, revision).commit
    state = state_of(repository, commit, DATA_FILES)
    _refuse_lacking(repository, commit, state)
    served, (local, theirs, _) = find_revision(repository).commit, _both(repository)
    parents = _heads(repository, [each for each in (local, theirs, served, commit) if each])
    files = dict(zip(DATA_FILES, state, strict=True))
    target = commit_files(repository, served, parents, files, f"Adopt the data of {revision}")
    _move(repository, Tip(theirs or local, local), target)
    return push(repository, target, BRANCH)


def branch_tip(repository: Path) -> Tip:
    """Where the branch stands, here or at the remote, whichever is further.

    Raises:
        UsageError: each has commits that the other lacks.
    """
    local, theirs, problem = _both(repository)
    remote = remote_of(repository)
    notes = (f"{remote} does not answer ({problem}): {BRANCH} is taken as it was fetched before",) * bool(problem)
    if not (local and theirs) or local == theirs:
        return Tip(local or theirs, local, notes)
    if contains(repository, local, theirs):
        return Tip(local, local, notes)
    if contains(repository, theirs, local):
        return Tip(theirs, local, notes)
    raise UsageError(
        f"{BRANCH} here ({local[:SHORT]}) and at {remote} ({theirs[:SHORT]}) both changed since they last agreed: "
        f"`{ADOPT} {local[:SHORT]}` takes the first, `{ADOPT} {theirs[:SHORT]}` the second"
    )


def _both(repository: Path) -> tuple[str, str, str]:
    """The branch's commit here, at the remote, and why the remote could not be asked."""
    remote = remote_of(repository)
    fetched = fetch(repository, remote, BRANCH) if remote else None
    return commit_of(repository, HEADS + BRANCH), fetched.commit if fetched else "", fetched.problem if fetched else ""


def _heads(repository: Path, commits: list[str]) -> list[str]:
    """Those of the commits that no other contains."""
    unique = list(dict.fromkeys(commits))
    return [one for one in unique if not any(each != one and contains(repository, each, one) for each in unique)]


def _move(repository: Path, tip: Tip, commit: str) -> None:
    point(repository, BRANCH, commit, tip.local)


def _refuse_lacking(repository: Path, commit: str, state: State) -> None:
    """Refuse a commit without data files; names the `git add` that is missing."""
    lacking = [path for path, blob in zip(DATA_FILES, state, strict=True) if blob is None]
    if LATER.issuperset(lacking):
        return
    there = [str(path) for path in lacking if (repository / path).exists()]
    if there:
        add = f"`git add {' '.join(there)}`, commit{' and push' * bool(remote_of(repository))}"
        raise UsageError(f"{', '.join(there)}: in {repository}, but not in commit {commit[:SHORT]}: {add}")
    add = f"`roadseg data import ARCHIVE`, then `git add {' '.join(map(str, DATA_FILES))}` and commit"
    raise UsageError(f"commit {commit[:SHORT]} has no {', '.join(map(str, lacking))}, so there are no data: {add}")


def _uncommitted(repository: Path) -> tuple[str, ...]:
    """A sentence about data files of the checkout that differ from its last commit."""
    prefix, root = prefix_of(repository), root_of(repository)
    listed = must(
        root, "status", "--porcelain", "-z", "--no-renames", "--", *(prefix + str(path) for path in DATA_FILES)
    )
    names = [entry[3:].removeprefix(prefix) for entry in listed.split("\0") if entry]
    if not names:
        return ()
    return (f"{', '.join(names)} of {repository}: changed and left out until `git add {' '.join(names)}` and a commit",)
