"""Fetch from and push to the remote that a branch belongs to; what cannot be pushed is pushed by a later run."""

import json
from dataclasses import dataclass
from pathlib import Path

from roadseg.contracts.files import home, replacing
from roadseg.workspace.plumbing import asked, commit_of, maybe, must, reason

ABSENT = "couldn't find remote ref"
HEADS = "refs/heads/"


@dataclass(frozen=True)
class Fetched:
    """What came of asking a remote for a branch.

    Attributes:
        commit: where the branch stands there, as far as is known; empty where it is not there.
        problem: why the remote could not be asked; empty where it could.
    """

    commit: str
    problem: str = ""


@dataclass(frozen=True)
class Committed:
    """What became of a commit of ours.

    Attributes:
        commit: 40 hex.
        branch: the branch that holds it.
        pushed: whether the remote has it.
        problem: what did not work, and what happens next; empty where all did, and where there is no remote.
    """

    commit: str
    branch: str
    pushed: bool
    problem: str = ""


def remote_of(repository: Path, branch: str = "") -> str:
    """The remote that a branch follows, else `origin`, else the only one; empty where there is none to choose."""
    remotes = maybe(repository, "remote").split()
    followed = maybe(repository, "config", f"branch.{branch}.remote") if branch else ""
    if followed in remotes:
        return followed
    return "origin" if "origin" in remotes else remotes[0] if len(remotes) == 1 else ""


def fetch(repository: Path, remote: str, branch: str) -> Fetched:
    """Ask a remote where a branch stands; nothing of the person's but that remote-tracking branch changes."""
    tracking = f"refs/remotes/{remote}/{branch}"
    refspec = f"+{HEADS}{branch}:{tracking}"
    done = asked(repository, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", remote, refspec)
    if done.returncode and ABSENT in done.stderr:
        return Fetched("")
    return Fetched(commit_of(repository, tracking), reason(done) if done.returncode else "")


def push(repository: Path, commit: str, branch: str) -> Committed:
    """Send a commit to a branch of the remote, and with it what earlier runs could not send.

    Args:
        repository: a folder of it.
        commit: to push, never by force.
        branch: its name, here and there.
    """
    remote = remote_of(repository)
    if not remote:
        return Committed(commit, branch, False)
    left = _unpushed(repository) - {branch}
    problem = _push(repository, remote, commit, branch)
    if not problem:
        left = {other for other in left if _again(repository, remote, other)}
    _keep(repository, left | ({branch} if problem else set()))
    if problem:
        problem = (
            f"{branch} is not at {remote} ({problem}): it stays here, and the next run pushes it; by hand "
            f"`git push {remote} {branch}`"
        )
    return Committed(commit, branch, not problem, problem)


def push_left(repository: Path) -> list[str]:
    """Push what earlier runs could not; the branches that the remote still lacks."""
    remote, left = remote_of(repository), _unpushed(repository)
    if left and remote:
        left = {branch for branch in left if _again(repository, remote, branch)}
        _keep(repository, left)
    return sorted(left)


def _push(repository: Path, remote: str, commit: str, branch: str) -> str:
    done = asked(repository, "push", "--quiet", "--no-verify", remote, f"{commit}:{HEADS}{branch}")
    return reason(done) if done.returncode else ""


def _again(repository: Path, remote: str, branch: str) -> bool:
    """Try a branch again; whether it is still to be pushed. One that is gone here is not."""
    commit = commit_of(repository, f"{HEADS}{branch}")
    return bool(commit and _push(repository, remote, commit, branch))


def _path() -> Path:
    return home() / "unpushed.json"


def _unpushed(repository: Path) -> set[str]:
    """Branches of this repository: those of another clone that shares the home are not here, and not gone."""
    return set(_all_unpushed().get(_name(repository), []))


def _all_unpushed() -> dict[str, list[str]]:
    try:
        known = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _name(repository: Path) -> str:
    """Where git keeps the repository: the same for a checkout and for the workspace, which is a worktree of it."""
    return str(Path(must(repository, "rev-parse", "--path-format=absolute", "--git-common-dir")).resolve())


def _keep(repository: Path, branches: set[str]) -> None:
    if branches != _unpushed(repository):
        known = _all_unpushed() | {_name(repository): sorted(branches)}
        with replacing(_path()) as temporary:
            temporary.write_text(json.dumps({name: left for name, left in known.items() if left}), encoding="utf-8")
