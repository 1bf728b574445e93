"""A look is killed at every named place: the next one loses nothing, takes nothing twice, and tells of every drive."""

from collections.abc import Callable
from pathlib import Path

import pytest
from inboxes import FRAMES, drives_in, look, make_tree, put_drive

from roadseg.contracts.files import REPLACING
from roadseg.intake import places
from roadseg.intake.inbox.memory import looking
from roadseg.intake.inbox.options import Inbox
from roadseg.intake.inbox.take import FAILPOINTS

from .conftest import contents

FEW = ("inbox:refusing", "add:moved", "inbox:merged")
ALL = (
    *FAILPOINTS,
    *(point for point in places.FAILPOINTS if point.startswith(("add:", "member:"))),
    *("facts:commit", "facts:committed"),
    *(f"test.json:{point}" for point in REPLACING),
)
TOLD = ("inbox:confirmed", "inbox:move", "inbox:moved")  # by then the drives were told of


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=[] if point in FEW else [pytest.mark.soak]) for point in ALL]
)
def test_a_look_that_is_killed_is_made_whole_by_the_next(
    tmp_path: Path, cached: Path, killed: Callable[[Path, str, Callable[[], object]], bool], point: str
) -> None:
    tree, folder = make_tree(tmp_path / "tree"), tmp_path / "arrives/new"
    put_drive(put_drive(folder / "monday", "train/3", seed=3), "train/4", seed=4, bad=True)
    put_drive(folder / "tuesday", "train/5", seed=5, masks=False)
    before = contents(folder)
    inbox = Inbox(folder=str(folder), quiet=0.0, patience=0.0, after="move")
    assert killed(tmp_path, point, lambda: look(tree, inbox))
    assert before == contents(folder) | contents(inbox.taken)
    report = look(tree, inbox)
    assert report.drives == ([] if point in TOLD else ["train/3"])

    whole = (FRAMES, FRAMES)
    assert drives_in(tree) == {"train/1": whole, "val/2": whole, "train/3": whole}
    assert [path.name for path in inbox.refused.iterdir()] == ["monday"]
    assert sorted(contents(inbox.refused / "monday/files")) == sorted(
        name.removeprefix("monday/") for name in before if "/4/" in name
    )
    assert [path.name for path in folder.iterdir()] == ["tuesday"]
    assert before == contents(folder) | contents(inbox.taken)
    with looking("test") as memory:
        states = {fate.name: (fate.state, fate.drives) for fate in memory.fates.values()}
        assert states == {"monday": ("refused", ["train/3"]), "tuesday": ("waits", [])}
        assert not memory.unsaid
    assert look(tree, inbox).new == 0
    assert not (tmp_path / "home/inbox/scratch").exists()
