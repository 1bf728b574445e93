"""Git as a command that must succeed, with nothing of the person's in it: no hooks, identity, signature or question."""

import os
import socket
import subprocess
from pathlib import Path

from roadseg.contracts.errors import UsageError
from roadseg.pipeline.process import end_group

PATIENCE, GRACE = 120.0, 5.0  # seconds that a remote may take, and that git may take to end
TOO_LATE = 124
OURS = {
    "user.name": "roadseg",
    "user.email": f"roadseg@{socket.gethostname() or 'localhost'}",
    "core.hooksPath": os.devnull,
    "core.quotePath": "false",
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

    Returns:
        How it ended: with 124 where it was ended after `PATIENCE`, as by a remote that does not answer.

    Raises:
        UsageError: git is not installed, or the folder is not there.
    """
    settings = [part for key, value in OURS.items() for part in ("-c", f"{key}={value}")]
    try:
        process = subprocess.Popen(
            ["git", *settings, *arguments],
            cwd=tree,
            env=_environment() | ({"GIT_INDEX_FILE": str(index)} if index else {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that ssh ends with it
        )
    except FileNotFoundError as error:
        if error.filename != "git":
            raise UsageError(f"{tree} is not there: nothing of git can be asked in it") from None
        raise UsageError("git is not installed: on Debian `apt-get install git`") from None
    with process:
        try:
            said = process.communicate(told.encode(errors="surrogateescape"), PATIENCE)
        except subprocess.TimeoutExpired:
            said = (b"", f"no answer in {PATIENCE:.0f} s".encode())
            process.returncode = _ended(process)
        except BaseException:
            _ended(process)
            raise
    output, errors = (each.decode(errors="surrogateescape") for each in said)
    return subprocess.CompletedProcess(["git", *arguments], process.returncode, output, errors)


def _ended(process: subprocess.Popen[bytes]) -> int:
    """End it and what it has started."""
    end_group(process, GRACE)
    return TOO_LATE


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
