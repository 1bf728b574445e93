"""A simulated team: what people do to roadseg and what the world does, one method each."""

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image
from trees import change_params, commit, make_checkout
from workspace_project import git, give_remotes

from roadseg.contracts.classes import ClassTable
from roadseg.intake.install import install
from roadseg.registry.versions import CHAMPION, MODEL, version_at
from roadseg.synthetic.dataset import generate
from roadseg.tracking.store import connect

FRAMES = 3  # of a drive
FIRST = {"train": 4, "val": 8}  # drives that are there before the month begins


class Hands(Protocol):
    """What starts runs of deployments and brings them to their ends."""

    def start(self, deployment: str, **parameters: Any) -> str:
        """Ask for a run, as the form does; its id."""

    def settle(self) -> None:
        """Let everything that is due come to its end; who waits for a person goes on waiting."""

    def settle_new_data(self) -> None:
        """The same, after data have changed: a run starts by itself."""

    def answer(self, run: str, **fields: str) -> None:
        """Answer on a run's page."""


@dataclass
class Team:
    """A checkout with remotes of git and DVC, an inbox, and drives that are yet to come.

    Attributes:
        tree: the checkout of a person, which is served.
        pool: drives in IDD Lite's layout; those that no one has delivered arrive one by one.
        hands: see there.
        good: MD5 of each file that was delivered and must be in the data, once.
        bad: MD5 of each file that was delivered and must not be.
        spoilt: drives that were refused, and nobody has repaired.
        waiting: MD5 of images that wait for their masks, by drive.
    """

    tree: Path
    pool: Path
    hands: Hands
    good: list[str] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)
    spoilt: list[str] = field(default_factory=list)
    waiting: dict[str, set[str]] = field(default_factory=dict)
    _taken: list[str] = field(default_factory=list)
    _number: Any = field(default_factory=lambda: count(1))

    @property
    def inbox(self) -> Path:
        return self.tree.parent / "inbox/new"

    # people

    def ask_for_run(self, **parameters: Any) -> str:
        return self.hands.start("retrain", **parameters)

    def ask_promotion(self, **parameters: Any) -> str:
        return self.hands.start("promote", **parameters)

    def roll_back(self, reason: str) -> str:
        return self.hands.start("rollback", reason=reason)

    def ask_to_look(self) -> str:
        """Have the inbox looked at, as the schedule does every ten minutes."""
        return self.hands.start("ingest", inbox={"folder": str(self.inbox), "quiet": 0.0})

    def change_code(self, width: int) -> None:
        """Commit another decoder."""
        path = self.tree / "src/roadseg/train/models/unet.py"
        lines = [line for line in path.read_text().splitlines() if not line.startswith('SIZES["small"]')]
        wider = f'SIZES["small"] = Config(stem=32, stages=((16, 1),), decoder=({width},), dropout=0.0, up="bilinear")'
        path.write_text("\n".join([*lines, wider]) + "\n")
        self._push(f"a decoder of {width}")

    def change_params(self, **changes: dict[str, object]) -> None:
        """Commit parameters, by section."""
        change_params(self.tree, changes)
        self._push(f"set {changes}")

    def change_recipe(self) -> None:
        """Commit a recipe that is neither better nor worse: another seed."""
        self.change_params(train={"seed": next(self._number)})

    def move_alias(self, version: int) -> None:
        """Make a version champion past everything, as MLflow's page lets people do."""
        connect().set_registered_model_alias(MODEL, CHAMPION, str(version))

    def _push(self, message: str) -> None:
        commit(self.tree, message)
        git(self.tree, "push", "-q", "origin", "main")

    # the world

    def deliver(self, *, images: bool = True, masks: bool = True, spoilt: bool = False, drive: str = "") -> str:
        """Let a drive arrive; the next one of the pool, or one by name once more.

        A spoilt one has ids in a mask that no table has.
        """
        drive = drive or self._next()
        folder = self._new_folder()
        for kind, wanted in (("leftImg8bit", images), ("gtFine", masks)):
            if wanted:
                shutil.copytree(self.pool / kind / "train" / drive, folder / kind / "train" / drive)
        if spoilt:
            _spoil(min(folder.glob("gtFine/train/*/*.png")))
        self._expect(drive, _digests(folder), spoilt=spoilt, images=images, masks=masks)
        self._put(folder)
        if not spoilt:
            self._taken.append(folder.name)
        return drive

    def repair(self) -> str:
        """Let the drive that was refused arrive as it should have been."""
        return self.deliver(drive=self.spoilt.pop())

    def deliver_masks(self) -> str:
        """Let the masks arrive that are waited for."""
        [drive] = self.waiting
        return self.deliver(images=False, drive=drive)

    def deliver_again(self) -> None:
        """Let everything that ever arrived well arrive once more, in one folder."""
        folder = self._new_folder()
        for name in self._taken:
            shutil.copytree(self.inbox / name, folder, dirs_exist_ok=True)
        self._put(folder)

    def _new_folder(self) -> Path:
        return self.tree.parent / f"arrives/delivery-{next(self._number)}"

    def _put(self, folder: Path) -> None:
        self.inbox.mkdir(parents=True, exist_ok=True)
        folder.rename(self.inbox / folder.name)

    def _expect(self, drive: str, files: set[str], *, spoilt: bool, images: bool, masks: bool) -> None:
        if spoilt:
            self.bad |= files
            self.spoilt.append(drive)
        elif images and not masks:
            self.waiting[drive] = files
        else:
            self.good += sorted(files | self.waiting.pop(drive, set()))
            self.bad -= files

    def _next(self) -> str:
        there = {path.name for path in self.inbox.glob("*/*/train/*")} | {
            path.name for path in (self.tree / "data/raw/leftImg8bit/train").iterdir()
        }
        left = [path.name for path in self.pool.glob("leftImg8bit/train/*") if path.name not in there]
        return min(left, key=int)

    @property
    def champion(self) -> int | None:
        return version_at(connect(), CHAMPION)


def make_pool(folder: Path, *, train: int, val: int) -> Path:
    """Drives of few frames."""
    generate(folder, train=8 * train, val=8 * val, test=0, seed=11)
    for drive in folder.glob("*/*/*"):
        for path in sorted(drive.iterdir())[FRAMES:]:
            path.unlink()
    return folder


def make_team(place: Path, pool: Path, hands: Hands) -> Team:
    """A team on its first day: a checkout with the first drives, pushed to a bare remote, and a remote of DVC."""
    tree, first = make_checkout(place / "tree"), place / "first"
    for split, drives in FIRST.items():
        for kind in ("leftImg8bit", "gtFine"):
            for path in _first(pool / kind / split, drives):
                shutil.copytree(path, first / kind / split / path.name)
    install(tree, first, ClassTable.find("idd-level1"), name="town")
    give_remotes(tree)
    return Team(tree, pool, hands, good=sorted(_digests(first)))


def _first(folder: Path, drives: int) -> Iterable[Path]:
    return sorted(folder.iterdir(), key=lambda path: int(path.name))[:drives]


def _digests(folder: Path) -> set[str]:
    return {hashlib.md5(path.read_bytes()).hexdigest() for path in folder.rglob("*.*") if path.is_file()}


def _spoil(mask: Path) -> None:
    pixels = np.array(Image.open(mask))
    pixels[:4] = 99
    Image.fromarray(pixels).save(mask)
