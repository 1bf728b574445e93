"""Objects of DVC's cache. `dvc gc` cannot be told of locks that stand in MLflow alone, and would delete what they name.

The cache is content by its md5, `files/md5/<2>/<30>`; `runs/<2>/<key>/<value>` are locks of stages that ran.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

from roadseg.contracts.errors import Busy
from roadseg.doctor.tree import holders
from roadseg.pipeline.dvc import dvc
from roadseg.pipeline.git import git
from roadseg.registry.gc.item import Item, newest
from roadseg.registry.gc.references import Reached, in_git, objects_in, work_trees


def unused_objects(tree: Path, reached: Reached, oldest: float) -> list[Item]:
    """Runs and objects of the cache that nothing reaches.

    A run of a stage is a root as long as it is young, and stays for longer where all that it names does.

    Args:
        tree: a checkout.
        reached: what is known of before; the run cache and what folders hold are added to its objects.
        oldest: what changed later stays; seconds since the epoch.

    Raises:
        Busy: a stage runs, which may just take up again what nothing else reaches.
    """
    refuse_at_work(tree)
    folder = Path(dvc(tree, "cache", "dir").strip())
    if not folder.resolve().is_relative_to(_shared_root(tree)):
        print(f"gc: {folder} is no part of this repository, so others may use it: DVC's cache is left alone")
        return []
    runs = [path for path in sorted(folder.glob("runs/*/*/*")) if path.is_file()]
    named = {path: objects_in(path.read_text(encoding="utf-8", errors="replace")) for path in runs}
    for path in runs:
        if newest(path) >= oldest:
            reached.objects |= named[path]
    files = {"".join(path.parts[-2:]): path for path in sorted(folder.glob("files/md5/??/*")) if path.is_file()}
    young = {name for name, path in files.items() if newest(path) >= oldest}
    for name in (reached.objects | young) & files.keys():
        if name.endswith(".dir"):
            reached.objects |= objects_in(files[name].read_text(encoding="utf-8", errors="replace"))
    stay = reached.objects | young
    gone = [path for path in runs if newest(path) < oldest and not named[path] <= stay]
    runs_gone = [_item("DVC: remembered runs", path.name, path) for path in gone]
    # folders before what they hold: a folder in the cache means that its files are there
    order = sorted(files.keys() - stay, key=lambda name: (not name.endswith(".dir"), name))
    items = runs_gone + [_item("DVC: files in the cache", name, files[name]) for name in order]
    return [_after_a_look(tree, items[0], set(order)), *items[1:]] if items else []


def refuse_at_work(tree: Path) -> None:
    """Look for DVC in every work tree, and in the folders that it runs experiments in.

    Raises:
        Busy: it is at work there.
    """
    inside = git(tree, "rev-parse", "--show-prefix").strip()  # where dvc.yaml is not at the repository's top
    folders = [place / inside / ".dvc/tmp" for place in work_trees(tree)]
    places = ("", f"exps/*/{inside}.dvc/tmp/", f"exps/standalone/*/{inside}.dvc/tmp/")
    for lock in [lock for folder in folders for place in places for lock in folder.glob(f"{place}rwlock")]:
        if at_work := holders(lock):
            told = f"{', '.join(at_work)}, by {lock}"
            raise Busy(f"DVC is at work ({told}): wait until that ends, then run the same command")


def _after_a_look(tree: Path, first: Item, objects: set[str]) -> Item:
    """Minutes may lie between the plan and the first file that goes: look again before it."""

    def remove() -> None:
        refuse_at_work(tree)
        if back := in_git(tree).objects & objects:
            raise Busy(f"a lock in git or a work tree names {min(back)} of the cache since: run the same command again")
        first.remove()

    return replace(first, remove=remove)


def _item(kind: str, name: str, path: Path) -> Item:
    return Item(kind, name, path.stat().st_size, partial(path.unlink, missing_ok=True))


def _shared_root(tree: Path) -> Path:
    """The folder of the repository's first work tree, whose cache the others may use."""
    common = git(tree, "rev-parse", "--path-format=absolute", "--git-common-dir").strip()
    return Path(common).resolve().parent
