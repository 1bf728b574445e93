"""What can go of DVC's cache, MLflow and home together, and its removal."""

import time
from collections.abc import Iterator
from pathlib import Path

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import home
from roadseg.registry.gc import cache, kept_home, store
from roadseg.registry.gc.item import Item
from roadseg.registry.gc.references import in_git
from roadseg.tracking.store import connect

DAY = 24 * 3600


def plan(tree: Path, days: int, now: float | None = None) -> list[Item]:
    """Everything that nothing reaches: no alias, ledger, ref of git, work tree, or run of the last days.

    It follows from what is there alone, so a removal that was killed goes on by planning again. A store or a
    repository that does not answer ends it: what cannot be asked must not look unused.

    Args:
        tree: a checkout.
        days: what is younger stays, whatever reaches it.
        now: seconds since the epoch; None: the clock's.

    Raises:
        UsageError: git or DVC cannot be asked; says what to do.
        Busy: DVC is at work.
    """
    if not (tree / ".dvc").is_dir():
        raise UsageError(f"{tree} holds no .dvc: run from the folder that holds dvc.yaml")
    oldest = (time.time() if now is None else now) - days * DAY
    client = connect()
    reached = in_git(tree)
    removable = store.unused_runs(client, reached, oldest)
    return [
        *removable,
        *cache.unused_objects(tree, reached, oldest),
        *kept_home.unused_folders(home(), tree, reached, oldest),
    ]


def delete(items: list[Item]) -> Iterator[Item]:
    """Remove what was planned, in its order; yields each after it is gone.

    Raises:
        Busy: something of it is reached since, or worked on; what is left is to be planned anew.
    """
    for item in items:
        item.remove()
        yield item
