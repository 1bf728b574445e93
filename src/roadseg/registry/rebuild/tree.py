"""A folder that holds what a version was made of: commit, uncommitted changes, and what decides its data."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from roadseg.contracts import paths
from roadseg.contracts.errors import UsageError
from roadseg.pipeline.dvc import dvc, dvc_json, share_settings
from roadseg.pipeline.git import git
from roadseg.pipeline.graph import read_graph
from roadseg.tracking.origin import DECIDE, DIFF, LEAK, NONE, OFF, TOO_LARGE, UNKNOWN, WHOLE, Origin

WHY = {  # what ran is not what was kept
    NONE: "files were changed between the run and `roadseg publish`",
    WHOLE: "files were changed between the run and `roadseg publish`",
    OFF: "the changes that were not committed stayed where it was trained (ROADSEG_DIFF=off)",
    LEAK: "the changes that were not committed held a secret and were not kept: take it out and train anew",
    TOO_LARGE: "the changes that were not committed were too large to be kept: commit them and train anew",
    UNKNOWN: "it was published before new files and what decides the data were kept",
}


def check_out(repository: Path, origin: Origin, folder: Path) -> Path:
    """Make a working tree of the commit, with the changes that were not committed.

    Args:
        repository: the checkout that it is called in; git keeps a note of the new tree until `forget_tree`.
        origin: of the version.
        folder: where the tree of the whole repository shall be; absent or empty.

    Returns:
        The folder in it that holds dvc.yaml.

    Raises:
        UsageError: commit, changes or dvc.lock are not there; says what to do.
    """
    if not origin.commit:
        raise UsageError("it was trained outside git, so nothing says which code made it")
    if not git(repository, "rev-parse", "--verify", "--quiet", f"{origin.commit}^{{commit}}"):
        raise UsageError(
            f"commit {origin.commit[:12]} is not in the repository of {repository}: `git fetch`, or run it in the "
            "clone that it was trained in"
        )
    prefix = git(repository, "rev-parse", "--show-prefix").strip()
    # a hook of the user's is no part of the version
    _git(repository, "-c", "core.hooksPath=/dev/null", "worktree", "add", "--detach", str(folder), origin.commit)
    if origin.kept in (WHOLE, UNKNOWN) and (origin.folder / DIFF).exists():
        _apply(folder, prefix, origin)
    tree = folder / prefix
    for path in DECIDE:
        if (origin.folder / path).exists():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(origin.folder / path, tree / path)
    if not (tree / paths.LOCK).exists():
        raise UsageError(
            "its dvc.lock is neither in MLflow nor in its commit, so nothing says which data it was made of"
        )
    return tree


def _apply(folder: Path, prefix: str, origin: Origin) -> None:
    below = [f"--directory={prefix}"] if prefix else []
    try:
        _git(folder, "apply", "--whitespace=nowarn", *below, str(origin.folder / DIFF))
    except UsageError as error:
        if origin.kept == WHOLE:  # else it may have been cut: what it would change is looked at afterwards
            raise UsageError(f"the changes that were not committed cannot be made again: {error}") from None


def forget_tree(repository: Path, folder: Path) -> None:
    """Remove what `check_out` made, from git's notes too."""
    git(repository, "worktree", "remove", "--force", str(folder))


def bring_old_data(source: Path, tree: Path) -> None:
    """Get the data that dvc.lock names, from the cache or the remote of another checkout.

    Args:
        source: that checkout.
        tree: where to.

    Raises:
        UsageError: they are in neither; with what DVC said.
    """
    share_settings(source, tree)
    locked = _locked_data(tree)
    _point(tree / paths.RAW_DVC, locked)
    try:
        dvc(tree, "checkout", str(paths.RAW_DVC))
    except UsageError as error:
        name = f"its data (data/raw, md5 {locked['md5'][:12]}) are not in the cache"
        if not dvc(tree, "remote", "list").strip():
            raise UsageError(f"{name}, and there is no remote: {error}") from None
        print(f"reproduce: {name}; asking the remote", flush=True)
        try:
            dvc(tree, "pull", str(paths.RAW_DVC))
        except UsageError as failed:
            raise UsageError(f"{name} nor at the remote: {failed}") from None


def _locked_data(tree: Path) -> dict[str, Any]:
    """The entry of data/raw in dvc.lock."""
    stages = yaml.safe_load((tree / paths.LOCK).read_text(encoding="utf-8"))["stages"].values()
    entries = (entry for stage in stages for entry in stage.get("deps", []))
    found = next((entry for entry in entries if entry["path"] == str(paths.RAW)), None)
    if found is None:
        raise UsageError(f"its dvc.lock does not name {paths.RAW}, so nothing says which data it was made of")
    return dict(found)


def _point(path: Path, locked: dict[str, Any]) -> None:
    """Let data/raw.dvc name the data of dvc.lock: it may be of other data, or of none where it was never kept."""
    content = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {"outs": [{}]}
    if content["outs"][0].get("md5") != locked["md5"]:
        content = {"outs": [{**locked, "path": paths.RAW.name}]}
        path.write_text(yaml.safe_dump(content), encoding="utf-8")


def check_origin(tree: Path, origin: Origin) -> None:
    """Refuse a tree whose code, parameters or small data files are not those that dvc.lock says ran.

    Raises:
        UsageError: names them, and why they were not kept.
    """
    made = {str(paths.RAW), *(out for stage in read_graph(tree) for out in stage.outs)}
    others = []
    for entries in dvc_json(tree, "status").values():
        for entry in entries:
            if not isinstance(entry, dict):
                others.append(str(entry))
                continue
            changed = entry.get("changed deps", {})
            others += [f"{path} {_said(change)}" for path, change in changed.items() if path not in made]
    if others:
        raise UsageError(f"what ran is not what was kept ({', '.join(sorted(set(others)))}): {WHY[origin.kept]}")


def _said(change: Any) -> str:
    return ", ".join(f"{key} {how}" for key, how in change.items()) if isinstance(change, dict) else str(change)


def _git(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise UsageError(f"`git {' '.join(arguments)}` failed: {' '.join(done.stderr.split())}")
