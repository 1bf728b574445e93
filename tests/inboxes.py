"""Trees and inboxes with drives of a few tiny frames in IDD Lite's layout."""

import shutil
from pathlib import Path

from small_sets import LEVEL, cells, save, scene
from trees import ROOT

from roadseg.contracts.classes import ClassTable
from roadseg.intake.inbox.memory import looking
from roadseg.intake.inbox.options import Inbox
from roadseg.intake.inbox.report import Report
from roadseg.intake.inbox.take import finish, take
from roadseg.intake.install import install

FRAMES = 2
IMAGE, MASK = "leftImg8bit/{}/{}_image.jpg", "gtFine/{}/{}_label.png"


def put_drive(root: Path, name: str, *, seed: int, images: bool = True, masks: bool = True, bad: bool = False) -> Path:
    """Write the frames of a drive `<split>/<drive>`; a bad one has a mask with ids that no table has."""
    for frame in range(FRAMES):
        if images:
            save(root / IMAGE.format(name, frame), scene(100 * seed + frame))
        if masks:
            save(root / MASK.format(name, frame), cells(100 * seed + frame, (99,) if bad and not frame else LEVEL))
    return root


def make_tree(tree: Path) -> Path:
    """A folder that imports take for a checkout, with a training and a validation drive."""
    (tree / ".dvc").mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tree)
    first = put_drive(put_drive(tree.with_name("first"), "train/1", seed=1), "val/2", seed=2)
    install(tree, first, ClassTable.find("idd-level1"), name="town")
    shutil.rmtree(first)
    return tree


def look(tree: Path, inbox: Inbox) -> Report:
    """One whole look."""
    with looking("test") as memory:
        report = take(tree, inbox, memory)
        finish(inbox, memory, report)
    return report


def drives_in(tree: Path) -> dict[str, tuple[int, int]]:
    """Images and masks in data/raw by drive."""
    counts: dict[str, tuple[int, int]] = {}
    for path in (tree / "data/raw").rglob("*.*"):
        kind, *drive, _ = path.relative_to(tree / "data/raw").parts
        images, masks = counts.get("/".join(drive), (0, 0))
        counts["/".join(drive)] = (images + (kind == "leftImg8bit"), masks + (kind == "gtFine"))
    return counts
