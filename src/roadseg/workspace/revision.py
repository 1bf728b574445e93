"""Which commit a run works on: the head of the branch that is served, or what somebody asked for."""

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import home, read_json, write_json
from roadseg.pipeline.graph import read_graph
from roadseg.workspace.plumbing import commit_of, contains, maybe, prefix_of, root_of
from roadseg.workspace.remote import HEADS, fetch, remote_of

SHORT = 9  # characters of a commit that people see
HEX = re.compile(r"[0-9a-f]{7,40}")
TAGS = "refs/roadseg/tags/"  # of the remote, fetched on request; the person's own tags stay as they are


@dataclass(frozen=True)
class Revision:
    """A commit that a run works on.

    Attributes:
        commit: 40 hex.
        name: as people call it: "origin/main", "v1.2", "3fa9c1204".
        notes: sentences for the run's page: why this commit, and what is left out.
    """

    commit: str
    name: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Served:
    """The checkout whose flows run.

    Attributes:
        root: top folder of its working tree.
        prefix: where the project lies in it, see `plumbing.prefix_of`.
        branch: that it was on at `make up`; empty where it was on none.
        commit: its head then.
    """

    root: Path
    prefix: str
    branch: str
    commit: str

    @property
    def project(self) -> Path:
        """The folder that holds dvc.yaml."""
        return self.root / self.prefix


def remember_served(repository: Path) -> None:
    """Note in home which checkout is served and which branch it is on; `make up` calls it.

    Raises:
        UsageError: see `plumbing.root_of`.
    """
    now = look_at(repository)
    content = {"root": str(now.root), "prefix": now.prefix, "branch": now.branch, "commit": now.commit}
    write_json(_path(), "served", content)


def served_repository() -> Path:
    """The project folder of the checkout that is served; the current folder where nothing was served yet.

    Raises:
        UsageError: it is gone, or there is none; says what to do.
    """
    if not _path().exists():
        if not paths.GRAPH.exists():
            raise UsageError(f"no checkout is served in {home()}: run `make up` in one")
        return Path.cwd()
    project = _remembered().project
    if not (project / paths.GRAPH).exists():
        raise UsageError(f"{project} was served at the last `make up` and has no {paths.GRAPH} now: `make up` again")
    return project


def look_at(repository: Path) -> Served:
    """The checkout as it stands now.

    Raises:
        UsageError: see `plumbing.root_of`.
    """
    root, branch = root_of(repository), maybe(repository, "symbolic-ref", "--quiet", "--short", "HEAD")
    return Served(root, prefix_of(repository), branch, commit_of(repository, "HEAD"))


def served_of(repository: Path) -> Served:
    """The checkout as it was at `make up`; as it stands now where another or none is served."""
    now = look_at(repository)
    if not _path().exists():
        return now
    then = _remembered()
    return then if (then.root, then.prefix) == (now.root, now.prefix) else now


def find_revision(repository: Path, asked: str = "") -> Revision:
    """Find the commit to work on, after asking the remote.

    Args:
        repository: the project folder of a checkout.
        asked: a branch, which is that of the remote where it has it, a tag or a commit; empty for the head of the
            served branch.

    Raises:
        UsageError: there is no such commit.
    """
    served = served_of(repository)
    if asked and (asked.startswith("-") or asked != asked.strip()):
        raise UsageError(f"revision {asked!r} looks like an option: give a branch, a tag or a commit")
    found = _named(repository, asked) if asked else _default(repository, served)
    here = not asked or found.commit == commit_of(repository, "HEAD")
    if not here or not (left := left_out(repository)):
        return found
    note = f"{left} file{'s are' if left > 1 else ' is'} not committed in {repository} and left out"
    return Revision(found.commit, found.name, (*found.notes, note))


def left_out(repository: Path) -> int:
    """How many files of a checkout no commit holds as they are, less those that the graph makes."""
    try:
        made = [f":(exclude){out}" for stage in read_graph(repository) for out in stage.outs]
    except (UsageError, yaml.YAMLError, TypeError, KeyError):  # somebody edits it at this moment
        made = []
    status = maybe(repository, "status", "--porcelain", "--", ".", f":(exclude){paths.LOCK}", *made)
    return len(status.splitlines())


def _default(repository: Path, served: Served) -> Revision:
    if not served.branch:
        note = f"{repository} was on no branch at `make up`, so each run works on the commit it was on"
        return Revision(served.commit, served.commit[:SHORT], (note,))
    return _branch(repository, served.branch, _upstream(repository, served.branch)) or _gone(repository, served)


def _branch(repository: Path, branch: str, upstream: str) -> Revision | None:
    """A branch as the remote has it, else as it is here; None where it is nowhere."""
    remote, local = remote_of(repository, branch), commit_of(repository, HEADS + branch)
    if not remote:
        note = f"there is no remote, so the local branch {branch} is taken"
        return Revision(local, branch, (note,)) if local else None
    fetched = fetch(repository, remote, upstream)
    notes = [f"{remote} does not answer ({fetched.problem}): what was fetched before is taken"] * bool(fetched.problem)
    if not fetched.commit:
        notes.append(f"branch {branch} is not at {remote}, so the local one is taken")
        return Revision(local, branch, tuple(notes)) if local else None
    if local and not contains(repository, fetched.commit, local):
        count = maybe(repository, "rev-list", "--count", f"{fetched.commit}..{local}")
        notes.append(f"{count} commit(s) of the local branch {branch} are not at {remote} and left out: `git push`")
    return Revision(fetched.commit, f"{remote}/{upstream}", tuple(notes))


def _named(repository: Path, asked: str) -> Revision:
    remote = remote_of(repository)
    if remote and asked.startswith(f"{remote}/"):  # as people call what they see
        return _named(repository, asked.removeprefix(f"{remote}/"))
    if not HEX.fullmatch(asked) and (found := _branch(repository, asked, _upstream(repository, asked))):
        return found
    if commit := commit_of(repository, asked):
        return Revision(commit, commit[:SHORT] if HEX.fullmatch(asked) else asked)
    if remote:
        ref = TAGS + asked
        maybe(repository, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", remote, f"+refs/tags/{asked}:{ref}")
        if commit := commit_of(repository, ref):
            return Revision(commit, asked)
    where = f"{repository}{f' and of {remote}' if remote else ''}"
    raise UsageError(f"revision {asked!r} is no branch, tag or commit of {where}: push it, or correct the name")


def _upstream(repository: Path, branch: str) -> str:
    """What a branch is called at its remote."""
    return maybe(repository, "config", f"branch.{branch}.merge").removeprefix(HEADS) or branch


def _gone(repository: Path, served: Served) -> Revision:
    raise UsageError(f"branch {served.branch}, served since `make up`, is gone from {repository}: `make up` on another")


def _path() -> Path:
    return home() / "served.json"


def _remembered() -> Served:
    content = read_json(_path(), "served", "make up")
    return Served(Path(content["root"]), content["prefix"], content["branch"], content["commit"])
