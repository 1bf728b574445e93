"""When a delivery has come to rest, and when it is left for the next look; without judging anything."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from pydantic import ValidationError

from roadseg.contracts.errors import Busy
from roadseg.contracts.files import home
from roadseg.intake.inbox.deliveries import at_rest
from roadseg.intake.inbox.memory import looking
from roadseg.intake.inbox.options import Inbox
from roadseg.intake.inbox.placing import stage
from roadseg.intake.inbox.reading import news, read_all

from .conftest import put


class Clock:
    """Time that passes only while somebody sleeps; `then` happens at the first sleep."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.now, self.slept, self._then = 1000.0, 0, then

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += 1
        self._then()


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    (tmp_path / "new").mkdir()
    return Inbox(folder=str(tmp_path / "new"), quiet=4.0, patience=60.0)


def rests(inbox: Inbox, clock: Clock) -> tuple[list[str], list[str]]:
    with looking("test") as memory:
        found, notes = at_rest(inbox, memory, lambda: clock.now, clock.sleep)
        memory.save()
    return [one.name for one in found], notes


def test_a_delivery_is_read_when_it_has_stood_still_whatever_its_own_times_say(inbox: Inbox) -> None:
    put(inbox.path / "monday", {"a/1.png": b"1"})
    os.utime(inbox.path / "monday/a/1.png", (0, 0))  # as copies that keep times, and a clock that is wrong
    clock = Clock()
    assert rests(inbox, clock) == (["monday"], [])
    assert clock.now >= 1000.0 + inbox.quiet
    again = Clock()
    again.now = clock.now
    assert rests(inbox, again) == (["monday"], [])
    assert again.slept == 0  # how it stood is remembered


def test_a_delivery_that_grows_is_left_for_the_next_look_and_holds_up_no_other(inbox: Inbox) -> None:
    put(inbox.path, {"grows/1.png": b"", "still/1.png": b""})
    impatient = inbox.model_copy(update={"patience": 0.0, "quiet": 1e-9})

    def grow() -> None:
        with (inbox.path / "grows/1.png").open("ab") as opened:
            opened.write(b"more")

    clock = Clock(grow)
    assert rests(impatient, clock)[1] == [
        "grows still changes: the next look takes it",
        "still still changes: the next look takes it",
    ]
    grow()
    clock.now += 1.0
    assert rests(impatient, clock) == (["still"], ["grows still changes: the next look takes it"])


@pytest.mark.parametrize("name", ["1.png.part", "1.png.tmp", "1.zip.crdownload", ".1.png.aB3xYz", "1.jpg.filepart"])
def test_what_is_still_being_written_by_its_name_is_left_alone_however_long_it_stands(inbox: Inbox, name: str) -> None:
    put(inbox.path / "monday", {"a/2.png": b"2", f"a/{name}": b"1"})
    assert rests(inbox, Clock()) == (
        [],
        [f"monday is not whole: monday/a/{name} is still being written: left for a later look"],
    )
    (inbox.path / "monday/a" / name).rename(inbox.path / "monday/a/1.png")
    assert rests(inbox, Clock())[0] == ["monday"]


def test_what_is_no_delivery_is_named_or_passed_over(inbox: Inbox, tmp_path: Path) -> None:
    put(inbox.path, {"notes.txt": b"", ".DS_Store": b"", "big.zip.part": b"", "monday.zip": b"", "empty/.keep": b""})
    (inbox.path / "nothing").mkdir()
    (inbox.path / "link").symlink_to(tmp_path)
    os.mkfifo(inbox.path / "pipe")
    found, notes = rests(inbox, Clock())
    assert found == ["empty", "monday.zip"]
    assert [note.split()[0] for note in notes] == ["big.zip.part", "link", "notes.txt", "pipe", "nothing"]


def test_a_drive_that_grows_while_it_is_read_is_left_for_the_next_look(
    inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(inbox.path, {"monday/a/1.png": b"1"})
    still = inbox.model_copy(update={"quiet": 0.0})

    def slow(source: Path, folder: Path) -> Path:
        done = stage(source, folder)
        put(inbox.path, {"monday/a/2.png": b"2"})
        return done

    monkeypatch.setattr("roadseg.intake.inbox.reading.stage", slow)
    with looking("test") as memory:
        fresh, _ = news(still, memory)
        read, notes = read_all(fresh, memory, tmp_path / "scratch", again=False)
        assert (read, notes) == ([], ["monday has changed while it was read: the next look takes it"])
        monkeypatch.undo()
        monkeypatch.setenv("ROADSEG_HOME", str(tmp_path / "home"))
        shutil.rmtree(tmp_path / "scratch")
        (one,), notes = read_all(news(still, memory)[0], memory, tmp_path / "scratch", again=False)
        assert sorted(path.name for path in one.folder.rglob("*.png")) == ["1.png", "2.png"]


def test_two_looks_at_once_are_kept_apart(inbox: Inbox) -> None:
    (home() / "inbox").mkdir(parents=True)
    with FileLock(home() / "inbox/lock"), pytest.raises(Busy, match="another look at an inbox is at work"):
        rests(inbox, Clock())


def test_an_inbox_has_a_place_of_its_own_unless_a_whole_path_is_given() -> None:
    assert Inbox().path == home().parent / "inbox/new"
    assert Inbox(folder="/srv/new").refused == Path("/srv/refused")
    with pytest.raises(ValidationError, match="folder"):
        Inbox(folder="srv/new")  # each process would look elsewhere
