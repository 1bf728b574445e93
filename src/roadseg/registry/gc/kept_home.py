"""What home keeps of trainings, models and drives."""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from roadseg.contracts import paths
from roadseg.contracts.bundle import Bundle
from roadseg.contracts.errors import UsageError
from roadseg.registry.gc.item import Item, newest, size_of
from roadseg.registry.gc.references import Reached

# of the registry: fetched from MLflow, or predicted again; `champion` is of earlier versions of roadseg
FETCHED = ("models", "bundles", "evaluations", "scores", "champion")
GONE = ".gone-"  # begins the name of a folder whose removal has begun


def unused_folders(home: Path, tree: Path, reached: Reached, oldest: float) -> list[Item]:
    """Folders of home that nothing reaches.

    Args:
        home: the folder.
        tree: a checkout; the training of its bundle stays.
        reached: fingerprints and weights that must stay.
        oldest: what changed later stays; seconds since the epoch.
    """
    found = _candidates(home, reached.fingerprints | _own(tree), reached)
    return [
        Item(kind, path.name, size_of(path), partial(_remove, path))
        for kind, path in found
        if path.name.startswith(GONE) or newest(path) < oldest
    ]


def _candidates(home: Path, fingerprints: set[str], reached: Reached) -> Iterator[tuple[str, Path]]:
    for path in _in(home / "runs"):
        if path.name not in fingerprints and not _in_use(path):
            yield "home: trainings", path
    for path in _in(home / "reuse/weights"):
        if path.stem not in reached.weights:
            yield "home: weights", path
    for name in FETCHED:
        for path in _in(home / "reuse" / name):
            yield "home: models and scores for the gate", path
    for path in _in(home / "reuse/shards"):  # preprocess renews the date of what it uses
        yield "home: encoded drives", path


def _in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _own(tree: Path) -> set[str]:
    try:
        return {str(Bundle.open(tree / paths.BUNDLE).card["fingerprint"])}
    except UsageError:  # nothing has been trained here
        return set()


def _in_use(run: Path) -> bool:
    if not (run / "lock").exists():
        return False
    try:
        with FileLock(run / "lock", timeout=0):
            return False
    except Timeout:
        return True


def _remove(path: Path) -> None:
    """Rename first: half a folder must not be taken for a whole one."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
    elif not _in_use(path):  # a training may have begun since
        gone = path.with_name(f"{GONE}{path.name.removeprefix(GONE)}")
        if path != gone:
            path.rename(gone)
        shutil.rmtree(gone)
