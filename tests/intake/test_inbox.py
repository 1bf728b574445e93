"""What becomes of drives that arrive in an inbox, whole and good, bad, half, twice, hostile, or repaired."""

import csv
import shutil
import tarfile
from pathlib import Path

import pytest
from inboxes import FRAMES, IMAGE, MASK, drives_in, look, make_tree, put_drive
from small_sets import save, scene

from roadseg.contracts.errors import UsageError
from roadseg.contracts.files import home
from roadseg.intake.inbox.memory import looking
from roadseg.intake.inbox.options import Inbox
from roadseg.intake.inbox.take import take

from .conftest import contents

WHOLE = (FRAMES, FRAMES)
FIRST = {"train/1": WHOLE, "val/2": WHOLE}


@pytest.fixture
def tree(tmp_path: Path, cached: Path) -> Path:
    return make_tree(tmp_path / "tree")


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    (tmp_path / "arrives/new").mkdir(parents=True)
    return Inbox(folder=str(tmp_path / "arrives/new"), quiet=0.0, patience=0.0)


def refusals(inbox: Inbox) -> dict[str, list[str]]:
    """Drives and reasons of every refusal, by folder."""
    return {
        path.parent.name: ["{drive}: {reason}".format(**row) for row in csv.DictReader(path.read_text().splitlines())]
        for path in inbox.refused.glob("*/reasons.csv")
    }


def packed(folder: Path, kind: str) -> Path:
    done = Path(shutil.make_archive(str(folder), kind, folder))
    shutil.rmtree(folder)
    return done


def test_good_drives_enter_and_bad_ones_lie_beside_the_inbox_with_the_files_and_reasons(
    tree: Path, inbox: Inbox, cached: Path
) -> None:
    put_drive(put_drive(inbox.path / "monday", "train/3", seed=3), "train/4", seed=4, bad=True)
    before = contents(inbox.path)
    report = look(tree, inbox)
    assert drives_in(tree) == FIRST | {"train/3": WHOLE}
    assert report.drives == ["train/3"]
    (said,) = refusals(inbox)["monday"]
    assert said.startswith("train/4: gtFine/train/4/0_label.png: holds ids outside idd-level1: 99")
    kept = {name: content for name, content in before.items() if "/4/" in name}
    assert {f"monday/{name}": content for name, content in contents(inbox.refused / "monday/files").items()} == kept
    assert "train/4 is refused:" in (inbox.refused / "monday/reasons.txt").read_text()
    assert contents(inbox.path) == before
    assert contents(max(cached.iterdir(), key=lambda path: int(path.name))) == contents(tree / "data/raw")


def test_a_content_that_was_taken_is_not_taken_again_whatever_it_is_called_or_packed_in(
    tree: Path, inbox: Inbox
) -> None:
    put_drive(inbox.path / "monday", "train/3", seed=3)
    copy = shutil.copytree(inbox.path / "monday", inbox.path.parent / "monday")
    assert look(tree, inbox).drives == ["train/3"]
    assert look(tree, inbox).drives == []
    packed(Path(copy), "zip").rename(inbox.path / "monday.zip")
    shutil.copytree(inbox.path / "monday", inbox.path / "tuesday")
    shutil.rmtree(tree / "data/raw/leftImg8bit/train/3")
    shutil.rmtree(tree / "data/raw/gtFine/train/3")  # a person took it out
    report = look(tree, inbox)
    assert (report.drives, report.new) == ([], 0)
    assert any(note.startswith("monday.zip holds what monday held, taken 20") for note in report.notes)
    assert drives_in(tree) == FIRST


def test_masks_that_come_later_complete_the_images_that_wait(tree: Path, inbox: Inbox) -> None:
    put_drive(inbox.path / "images", "train/3", seed=3, masks=False)
    put_drive(inbox.path / "more", "train/4", seed=4)
    report = look(tree, inbox)
    assert drives_in(tree) == FIRST | {"train/4": WHOLE}
    assert [line for line in report.lines() if line.startswith("waits")] == [
        f"waits: images: train/3: {FRAMES} images wait for their masks"
    ]
    assert not refusals(inbox)
    assert "images waits: train/3" in look(tree, inbox).notes[0]
    packed(put_drive(inbox.path / "masks", "train/3", seed=3, images=False), "gztar")
    assert look(tree, inbox).drives == ["train/3"]
    assert drives_in(tree) == FIRST | {"train/3": WHOLE, "train/4": WHOLE}


def test_images_that_waited_too_long_are_refused_with_the_reason(tree: Path, inbox: Inbox) -> None:
    put_drive(inbox.path / "images", "train/3", seed=3, masks=False)
    impatient = inbox.model_copy(update={"days": 0})
    look(tree, inbox)
    look(tree, impatient)
    assert refusals(inbox) == {
        "images": [f"train/3: {FRAMES} images wait for their masks, which did not come in 0 days"]
    }
    assert drives_in(tree) == FIRST


def test_a_refused_drive_that_is_repaired_is_taken_under_its_name(tree: Path, inbox: Inbox) -> None:
    put_drive(inbox.path / "monday", "train/4", seed=4, bad=True)
    look(tree, inbox)
    assert "monday" not in " ".join(look(tree, inbox).lines())  # it is not refused at every look
    put_drive(inbox.path / "monday", "train/4", seed=4)
    assert look(tree, inbox).drives == ["train/4"]
    assert drives_in(tree) == FIRST | {"train/4": WHOLE}


def test_what_was_refused_is_judged_once_more_where_that_is_asked(tree: Path, inbox: Inbox) -> None:
    put_drive(inbox.path / "monday", "train/4", seed=4, bad=True)
    look(tree, inbox)
    table = tree / "data/classes.yaml"
    table.write_text(table.read_text().replace("void: [255]", "void: [255, 99]"))
    assert look(tree, inbox).drives == []
    assert look(tree, inbox.model_copy(update={"again": True})).drives == ["train/4"]


def test_hostile_and_broken_archives_are_refused_by_what_they_are_and_stop_no_other(tree: Path, inbox: Inbox) -> None:
    put_drive(inbox.path / "good", "train/3", seed=3)
    with tarfile.open(inbox.path / "hostile.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("../outside"))
    (inbox.path / "broken.zip").write_bytes(b"PK\3\4 and no more")
    (inbox.path / "poetry").mkdir()
    (inbox.path / "poetry/verse.txt").write_text("roses")
    report = look(tree, inbox)
    assert report.drives == ["train/3"]
    said = refusals(inbox)
    assert "member '../outside' points outside" in said["hostile.tar"][0]
    assert "broken.zip is broken" in said["broken.zip"][0]
    assert "poetry is not laid out as data/raw is (idd-lite:" in said["poetry"][0]
    assert not (tree / "data/outside").exists()
    assert not [line for line in look(tree, inbox).lines() if line.startswith("refused")]


def test_a_drive_by_which_others_fail_is_refused_and_the_others_are_not(tree: Path, inbox: Inbox) -> None:
    copied = put_drive(inbox.path / "monday", "val/9", seed=9)
    shutil.copy(tree / "data/raw" / IMAGE.format("train/1", 0), copied / IMAGE.format("val/9", 0))
    put_drive(inbox.path / "monday", "train/3", seed=3)
    report = look(tree, inbox)
    assert report.drives == ["train/3"]
    assert "the same image is also in another split (val/9/0)" in refusals(inbox)["monday"][0]


def test_a_different_file_of_a_name_that_is_there_refuses_its_drive_alone(tree: Path, inbox: Inbox) -> None:
    put_drive(put_drive(inbox.path / "monday", "train/1", seed=7), "train/3", seed=3)
    (inbox.path / "monday/readme.txt").write_text("mine")
    before = (tree / "data/raw" / MASK.format("train/1", 0)).read_bytes()
    report = look(tree, inbox)
    assert report.drives == ["train/3"]
    assert all("monday has a different file of that name" in reason for reason in refusals(inbox)["monday"])
    assert (tree / "data/raw" / MASK.format("train/1", 0)).read_bytes() == before
    assert drives_in(tree) == FIRST | {"train/3": WHOLE}  # what belongs to no drive stays outside


def test_of_two_versions_of_a_drive_the_one_that_came_last_is_taken(tree: Path, inbox: Inbox) -> None:
    put_drive(inbox.path / "old", "train/3", seed=3, masks=False)
    look(tree, inbox)
    put_drive(inbox.path / "anew", "train/3", seed=33)
    assert look(tree, inbox).drives == ["train/3"]
    assert (tree / "data/raw" / IMAGE.format("train/3", 0)).read_bytes() == (
        inbox.path / "anew" / IMAGE.format("train/3", 0)
    ).read_bytes()
    assert "a different file of that name" in refusals(inbox)["old"][0]


def test_a_dry_run_tells_and_changes_nothing(tree: Path, inbox: Inbox) -> None:
    put_drive(put_drive(inbox.path / "monday", "train/3", seed=3), "train/4", seed=4, bad=True)
    before = contents(tree), contents(inbox.path.parent)
    with looking("test") as memory:
        lines = take(tree, inbox, memory, dry_run=True).lines()
    assert lines[0].startswith("refused: monday: train/4: gtFine/train/4/0_label.png")
    assert "good: monday: train/3" in lines
    assert (contents(tree), contents(inbox.path.parent)) == before
    assert look(tree, inbox).drives == ["train/3"]


def test_what_was_taken_is_moved_only_where_that_is_asked(tree: Path, inbox: Inbox) -> None:
    put_drive(inbox.path / "monday", "train/3", seed=3)
    put_drive(inbox.path / "bad", "train/4", seed=4, bad=True)
    put_drive(inbox.path / "half", "train/5", seed=5, masks=False)
    before = contents(inbox.path)
    look(tree, inbox.model_copy(update={"after": "move"}))
    assert sorted(path.name for path in inbox.path.iterdir()) == ["half"]
    left = contents(inbox.path) | contents(inbox.taken) | contents(inbox.refused / "originals")
    assert left == before


def test_a_drive_that_is_no_tree_of_two_splits_is_placed_by_its_own_name(tmp_path: Path, tree: Path) -> None:
    shutil.rmtree(tree / "data/raw")
    for drive in "abc":
        for frame in range(FRAMES):
            seed = 10 * ord(drive) + frame
            target = tree / "data/raw" / drive if drive != "c" else tmp_path / "arrives/new" / drive
            save(target / f"images/{frame}.jpg", scene(seed))
            shutil.copy(next((tmp_path / "cache").rglob("0_label.png")), _made(target / f"masks/{frame}.png"))
    inbox = Inbox(folder=str(tmp_path / "arrives/new"), quiet=0.0)
    assert [drive.rpartition("/")[2] for drive in look(tree, inbox).drives] == ["c"]
    assert (tree / "data/raw/c/masks/0.png").is_file()


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_where_nothing_can_be_written_beside_the_inbox_the_reasons_lie_in_home(tree: Path, inbox: Inbox) -> None:
    put_drive(inbox.path / "monday", "train/4", seed=4, bad=True)
    for place in (inbox.refused, inbox.taken):
        place.write_text("a file where a folder should be")
    report = look(tree, inbox.model_copy(update={"after": "move"}))
    assert any(f"{inbox.refused} cannot be written to" in note for note in report.notes)
    assert (home() / "inbox/refused/monday/reasons.txt").is_file()
    assert (inbox.path / "monday").is_dir()


def test_without_data_or_inbox_a_look_says_what_to_do(tree: Path, inbox: Inbox) -> None:
    with pytest.raises(UsageError, match="nowhere: no such folder; make it"):
        look(tree, inbox.model_copy(update={"folder": str(inbox.path / "nowhere")}))
    shutil.rmtree(tree / "data/raw")
    with pytest.raises(UsageError, match="`roadseg data import` brings the first data"):
        look(tree, inbox)
