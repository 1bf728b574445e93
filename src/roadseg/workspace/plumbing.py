"""Git as a command that must succeed, with nothing of the person's in it: no hooks, identity, signature or question."""

import os
import socket
import subprocess
from pathlib import Path

from roadseg.contracts.errors import UsageError

PATIENCE = 600.0  # seconds that a remote may take
OURS = {
    "user.name": "roadseg",
    "user.email": f"roadseg@{socket.gethostname() or 'localhost'}",
    "core.hooksPath": os.devnull,
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "push.gpgSign": "false",
    "gc.auto": "0",  # it would go on behind us
    "maintenance.auto": "false",
    "submodule.recurse": "false",
}
FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY")
IDENTITY = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_AUTHOR_DATE")


def asked(tree: Path, *arguments: str, told: str = "", index: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run git in `tree`; whoever calls looks at how it ended.

    Args:
        tree: a folder of a working tree.
        arguments: of git.
        told: what it reads.
        index: a file that takes the place of the tree's index.

    Raises:
        UsageError: git is not installed, or took longer than `PATIENCE`.
    """
    settings = [part for key, value in OURS.items() for part in ("-c", f"{key}={value}")]
    try:
        return subprocess.run(
            ["git", *settings, *arguments],
            cwd=tree,
            env=_environment() | ({"GIT_INDEX_FILE": str(index)} if index else {}),
            input=told,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=PATIENCE,
        )
    except FileNotFoundError as error:
        if error.filename != "git":
            raise UsageError(f"{tree} is not there: nothing of git can be asked in it") from None
        raise UsageError("git is not installed: on Debian `apt-get install git`") from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"`git {' '.join(arguments)}` in {tree} took longer than {PATIENCE:.0f} s") from None


def must(tree: Path, *arguments: str, told: str = "", index: Path | None = None) -> str:
    """What a git command prints in `tree`, without the last newline.

    Raises:
        UsageError: it failed; with what git said.
    """
    done = asked(tree, *arguments, told=told, index=index)
    if done.returncode:
        raise UsageError(f"`git {' '.join(arguments)}` in {tree} failed: {reason(done)}")
    return done.stdout.removesuffix("\n")


def maybe(tree: Path, *arguments: str) -> str:
    """What a git command prints in `tree`, without the last newline; nothing where it fails."""
    done = asked(tree, *arguments)
    return "" if done.returncode else done.stdout.removesuffix("\n")


def reason(done: subprocess.CompletedProcess[str]) -> str:
    """What git said, in one line, its marks for people left out."""
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if not line.startswith("hint:")]
    return " ".join(line.removeprefix("fatal: ").removeprefix("error: ") for line in lines if line) or "it said nothing"


def root_of(tree: Path) -> Path:
    """The top folder of the working tree that holds `tree`.

    Raises:
        UsageError: it is in no repository, or in one without a commit; says what to do.
    """
    done = asked(tree, "rev-parse", "--show-toplevel")
    if "dubious ownership" in done.stderr:
        trusted = f"git config --global --add safe.directory {tree.resolve()}"
        raise UsageError(f"the repository of {tree} belongs to another user, so git does not read it: `{trusted}`")
    if done.returncode or not done.stdout.strip():
        raise UsageError(f"{tree} is in no git repository: `git init`, then commit the project")
    if not maybe(tree, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"):
        raise UsageError(f"the repository of {tree} has no commit yet: `git add` the project and `git commit`")
    return Path(done.stdout.removesuffix("\n"))


def prefix_of(tree: Path) -> str:
    """Where `tree` lies in its repository: empty at its top, else with a slash at its end, as in `vision/roads/`."""
    return must(tree, "rev-parse", "--show-prefix")


def commit_of(tree: Path, revision: str) -> str:
    """The commit that a revision names, 40 hex; empty where it names none. Options are no revisions."""
    return maybe(tree, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")


def contains(tree: Path, commit: str, earlier: str) -> bool:
    """Whether a commit is, or comes after, an earlier one."""
    return asked(tree, "merge-base", "--is-ancestor", earlier, commit).returncode == 0


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in (*FOREIGN, *IDENTITY)}
    # no question on a terminal, and nobody's index is refreshed by a look at it
    return {**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_EDITOR": "true"}
