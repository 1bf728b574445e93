"""The checkout: git, DVC and its cache, data, and the home folder."""

import configparser
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from roadseg.contracts import paths
from roadseg.contracts.files import home
from roadseg.doctor.finding import Finding
from roadseg.doctor.machine import in_gib
from roadseg.pipeline.git import git_state
from roadseg.preprocess.store import reflink

MIN_FREE = 1 << 30  # bytes of free disk, for checkpoints and shards
LOW_FREE = 5 << 30  # bytes, since MLflow fills the rest
PRIVATE = ("reflink", "copy")  # an edit in the tree cannot reach the cache


def tree_state(tree: Path) -> Iterator[Finding]:
    """Look at a checkout."""
    state = git_state(tree)
    absent = "no commit here, and DVC wants a git repository: `git init`, add and commit"
    problem = state.problem or ("" if state.commit else absent)
    found = f"{state.commit[:8]}{', with changes that are not committed' * state.dirty}" if state.commit else "none"
    yield Finding("tree", "git", found, problem, stops=not state.commit)
    yield from _dvc(tree)
    yield _home()


def _dvc(tree: Path) -> Iterator[Finding]:
    if not (tree / ".dvc").is_dir():
        yield Finding("tree", "dvc", "none", "run from the folder that holds dvc.yaml and .dvc", stops=True)
        return
    at_work = holders(tree / ".dvc/tmp/rwlock")
    problem = "a stage runs here: a second `dvc repro` is refused until it ends" if at_work else ""
    done = "dvc.lock is there" if (tree / paths.LOCK).exists() else "nothing has run yet"
    yield Finding("tree", "dvc", f"{done}; at work: {', '.join(at_work) or 'nobody'}", problem)
    raw = (tree / paths.RAW_DVC).exists()
    problem = "" if raw else "import some first: `roadseg data import ARCHIVE`; `make demo` brings its own"
    yield Finding("tree", "data", str(paths.RAW_DVC) if raw else "none", problem)
    folder, kinds = cache_settings(tree)
    possible = links(_nearest(folder), tree)
    chosen = next((kind for kind in kinds if kind in possible), None)
    found = f"{chosen or 'none'} (possible: {', '.join(possible) or 'nothing'}) from {folder}"
    problem = ""
    if chosen is None:
        problem = f"none of {', '.join(kinds)} works: make both writable, or `dvc config cache.type reflink,copy`"
    elif chosen not in PRIVATE:
        problem = "an edit in data/raw would overwrite the cache: `dvc config cache.type reflink,copy`"
    yield Finding("tree", "cache", found, problem, stops=chosen is None)


def cache_settings(tree: Path) -> tuple[Path, list[str]]:
    """DVC's cache folder and the link types it tries in order, from the repository's own configuration."""
    settings = {"dir": str(tree / ".dvc/cache"), "type": "reflink,copy"}
    for name in ("config", "config.local"):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(tree / ".dvc" / name)
        if parser.has_section("cache"):
            settings |= {key: value.strip("\"'") for key, value in parser.items("cache")}
    return tree / ".dvc" / settings["dir"], [kind.strip() for kind in settings["type"].split(",")]


def links(source: Path, target: Path) -> list[str]:
    """How a file of one folder can really come to another: tried with a small file."""
    ways: dict[str, Callable[[Path, Path], object]] = {
        "reflink": reflink,
        "hardlink": os.link,
        "symlink": os.symlink,
        "copy": shutil.copyfile,
    }
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".doctor-", dir=source) as one,
            tempfile.TemporaryDirectory(prefix=".doctor-", dir=target) as two,
        ):
            (Path(one) / "file").write_bytes(b"roadseg")
            return [name for name, way in ways.items() if _works(way, Path(one) / "file", Path(two) / name)]
    except OSError:
        return []


def _works(way: Callable[[Path, Path], object], source: Path, target: Path) -> bool:
    try:
        way(source, target)
    except OSError:
        return False
    return target.read_bytes() == source.read_bytes()


def holders(lock: Path) -> list[str]:
    """Processes that DVC's lock file names and that are alive."""
    try:
        entries = json.loads(lock.read_text() or "{}").values()
    except (OSError, ValueError):
        return []
    named = [holder for entry in entries for kind in entry.values() for holder in _listed(kind)]
    alive = {holder["pid"]: holder.get("cmd", "") for holder in named if psutil.pid_exists(int(holder["pid"]))}
    return [f"process {pid} ({command})" for pid, command in alive.items()]


def _listed(kind: object) -> list[dict[str, str]]:
    return kind if isinstance(kind, list) else [kind] if isinstance(kind, dict) else []


def _home() -> Finding:
    folder = home()
    there = _nearest(folder)
    free = shutil.disk_usage(there).free
    problem, closed = "", not os.access(there, os.W_OK)
    if closed:
        problem = f"{there} cannot be written: set ROADSEG_HOME to a folder of yours"
    elif free < LOW_FREE:
        problem = "little disk: make room, or set ROADSEG_HOME to another disk"
    return Finding("tree", "home", f"{folder}, {in_gib(free)} free", problem, stops=closed or free < MIN_FREE)


def _nearest(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.is_dir())
