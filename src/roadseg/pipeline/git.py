"""What git knows of the tree that a model came from."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from roadseg.contracts import paths
from roadseg.pipeline.graph import read_graph

LONGEST = 1 << 20  # characters of a difference that are kept; generated files make gigabytes
PLAIN = (  # whatever the user's configuration says, `git apply` can read it
    "--no-ext-diff", "--no-textconv", "--no-color", "--binary", "--full-index", "-U3", "--src-prefix=a/",
    "--dst-prefix=b/",
)  # fmt: skip


@dataclass(frozen=True)
class GitState:
    """What git says of a tree, without what lies outside of it and without the files that the graph writes.

    Attributes:
        commit: empty outside a repository and where there is none yet.
        dirty: whether the tree differs from it.
        diff: what `git apply` makes the tree of, new files included, at most `LONGEST` characters. Bytes that are no
            UTF-8 are surrogates: write it with `errors="surrogateescape"`.
        problem: why git cannot be asked in a repository that is there, and what to do; empty where it can.
        whole: whether the difference is all of it, or some was too large.
    """

    commit: str
    dirty: bool
    diff: str
    problem: str = ""
    whole: bool = True


def git_state(tree: Path) -> GitState:
    """Look at the repository that holds `tree`."""
    try:
        asked = _run(tree, "rev-parse", "--verify", "HEAD")
    except FileNotFoundError:
        return GitState("", True, "", "git is not installed: on Debian `apt-get install git`")
    if "dubious ownership" in asked.stderr:
        trusted = f"git config --global --add safe.directory {tree.resolve()}"
        return GitState("", True, "", f"the repository belongs to another user, so git does not read it: `{trusted}`")
    commit = asked.stdout.strip()
    if asked.returncode or not commit:
        return GitState("", True, "")
    places = (".", *(f":(exclude){path}" for path in _written(tree)))
    dirty = bool(git(tree, "status", "--porcelain", "--untracked-files=normal", "--", *places).strip())
    diff, whole = _difference(tree, places)
    if len(diff) > LONGEST:
        diff, whole = f"{diff[:LONGEST]}\n[{len(diff) - LONGEST} more characters are left out]\n", False
    return GitState(commit, dirty, diff, whole=whole)


def _difference(tree: Path, places: tuple[str, ...]) -> tuple[str, bool]:
    """The difference to the last commit, and whether all new files are in it; the smallest are, up to `LONGEST`."""
    listed = git(tree, "ls-files", "--others", "--exclude-standard", "-z", "--", *places).split("\0")
    new = [name for name in listed if name and not name.endswith("/")]  # a repository of its own is a folder here
    sizes = {name: (tree / name).lstat().st_size for name in new if os.path.lexists(tree / name)}
    kept, room = [], LONGEST
    for name in sorted(sizes, key=lambda each: (sizes[each], each)):
        room -= sizes[name]
        if room >= 0:
            kept.append(name)
    with tempfile.TemporaryDirectory() as folder:
        # in an index of its own: git shows what is to be added, and the user's own index stays as it is
        index = Path(folder, "index")
        if (own := Path(tree, git(tree, "rev-parse", "--git-path", "index").strip())).is_file():
            shutil.copyfile(own, index)
        environment = {**os.environ, "GIT_INDEX_FILE": str(index)}
        pathspecs = ("--pathspec-from-file=-", "--pathspec-file-nul")
        literal = {**environment, "GIT_LITERAL_PATHSPECS": "1"}
        told = "\0".join(kept).encode(errors="surrogateescape")
        subprocess.run(
            ["git", "add", "--intent-to-add", *pathspecs], cwd=tree, env=literal, input=told, capture_output=True
        )
        asked = subprocess.run(
            ["git", "diff", *PLAIN, "--relative", "HEAD", "--", *places],
            cwd=tree, env=environment, capture_output=True,
        )  # fmt: skip
    # as bytes: reading text would change the ends of lines, and what is no UTF-8
    return asked.stdout.decode(errors="surrogateescape"), len(kept) == len(sizes)


def git(tree: Path, *arguments: str) -> str:
    """What a git command prints in `tree`; nothing where it fails."""
    try:
        return _run(tree, *arguments).stdout
    except FileNotFoundError:
        return ""


def _run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=tree, capture_output=True, text=True, errors="surrogateescape")


def _written(tree: Path) -> list[str]:
    """What a run of the graph itself changes, so that it says nothing of what the run started from."""
    if not (tree / paths.GRAPH).exists():
        return []
    return [str(paths.LOCK), *(out for stage in read_graph(tree) for out in stage.outs)]
