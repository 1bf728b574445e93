import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from roadseg.contracts.errors import Interrupted
from roadseg.machine.signals import stopping
from roadseg.machine.workers import map_ahead, pool

Start = Callable[..., "subprocess.Popen[bytes]"]

IMPORTS = """
from roadseg.machine.signals import follow_parent
from roadseg.machine.workers import pool
import os, signal, subprocess, sys, time
"""
FOLLOWER = "follow_parent(); print(os.getpid(), flush=True); time.sleep(60)"
LATE_FOLLOWER = """
parent = os.getppid()
print(os.getpid(), flush=True)
while os.getppid() == parent:
    time.sleep(0.01)
follow_parent()
open("outlived", "w").close()
"""
STARTS_A_CHILD = "subprocess.Popen([sys.executable, '-c', sys.argv[1]]).wait()"
STARTS_A_POOL = """
def work(_):
    os.write(1, b"%d\\n" % os.getpid())  # in one piece: two workers share the pipe
    time.sleep(60)
signal.signal(signal.SIGTERM, lambda *_: 1 / 0)  # as in a stage; a worker must not inherit it
with pool() as workers:
    list(workers.map(work, range(2)))
"""


def ended(process: psutil.Process) -> bool:
    """Whether it is gone, or dead and not yet collected by whoever adopted it."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def assert_all_end(processes: list[psutil.Process], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not all(map(ended, processes)):
        assert time.monotonic() < deadline, f"{processes} outlived their parent"
        time.sleep(0.02)


def start(
    background: Start, cwd: Path, code: str, child: str, count: int
) -> tuple["subprocess.Popen[bytes]", list[psutil.Process]]:
    """Start a parent in a session of its own, and find the processes whose ids are printed."""
    parent = background(
        [sys.executable, "-c", IMPORTS + code, IMPORTS + child],
        cwd=cwd,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "ROADSEG_WORKERS": "2"},
    )
    assert parent.stdout is not None
    with parent.stdout as printed:
        return parent, [psutil.Process(int(printed.readline())) for _ in range(count)]


@pytest.mark.parametrize(
    ("code", "child", "count"), [(STARTS_A_CHILD, FOLLOWER, 1), (STARTS_A_POOL, "", 2)], ids=["child", "pool"]
)
def test_who_follows_ends_when_the_parent_is_killed(
    background: Start, tmp_path: Path, code: str, child: str, count: int
) -> None:
    parent, followers = start(background, tmp_path, code, child, count)
    assert len(set(followers)) == count
    assert not any(map(ended, followers))
    parent.kill()
    assert_all_end(followers)


def test_who_follows_a_parent_that_is_dead_already_ends_at_once(background: Start, tmp_path: Path) -> None:
    parent, followers = start(background, tmp_path, STARTS_A_CHILD, LATE_FOLLOWER, 1)
    parent.kill()
    assert_all_end(followers)
    assert not (tmp_path / "outlived").exists()


def test_who_follows_another_than_its_parent_ends_at_once() -> None:
    code = IMPORTS + f"follow_parent(parent={os.getpid() + 1}); time.sleep(60)"
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == -signal.SIGTERM


@pytest.mark.parametrize("parent", ["", "os.getppid()"])
def test_who_follows_a_living_parent_goes_on(parent: str) -> None:
    code = IMPORTS + f"follow_parent({parent}); time.sleep(0.1); print('alive')"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, timeout=30).stdout == b"alive\n"


def test_after_an_error_queued_work_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADSEG_WORKERS", "1")
    started = time.monotonic()

    def fail() -> None:
        with pool() as workers:
            for _ in range(40):
                workers.submit(time.sleep, 0.25)
            raise KeyError("the stage's own fault")

    with pytest.raises(KeyError):
        fail()
    assert time.monotonic() - started < 5  # all forty would take ten


def test_a_pool_has_as_many_workers_as_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADSEG_WORKERS", "1")
    with pool() as workers:
        assert len(set(workers.map(_number_after, [0.05] * 8))) == 1


def test_workers_share_what_was_there_before_them_and_afterwards_it_is_collected_again() -> None:
    with pool() as workers:
        assert gc.get_freeze_count() > 0
        assert set(workers.map(_frozen, range(4))) != {0}
    assert gc.get_freeze_count() == 0


def test_results_come_back_and_a_workers_error_is_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADSEG_WORKERS", "2")
    with pool() as workers:
        assert list(workers.map(abs, [-1, 2, -3])) == [1, 2, 3]
        with pytest.raises(TypeError, match="bad operand"):
            list(workers.map(abs, ["no number"]))


def _frozen(_: int) -> int:
    return gc.get_freeze_count()


def _number_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def test_a_stream_keeps_the_order_and_takes_no_more_items_than_it_is_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(40):
            taken.append(number)
            yield number

    with ThreadPoolExecutor(3) as workers:
        for count, result in enumerate(map_ahead(workers, str, items(), ahead=5)):
            assert result == str(count)
            assert len(taken) <= count + 5
    assert len(taken) == 40


STOPS = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture
def seen() -> Iterator[list[int]]:
    """Signals that reach the handlers from before."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda got, _: came.append(got)) for number in STOPS}
    yield came
    for number, handler in before.items():
        signal.signal(number, handler)


def asked(*, inside: bool) -> None:
    """Be asked to stop, inside of work that ends at once or before it."""
    with stopping() as stop:
        if not inside:
            signal.raise_signal(signal.SIGTERM)
        with stop.at_once():
            signal.raise_signal(signal.SIGTERM)
            raise AssertionError("it went on")


def test_a_signal_that_nobody_acted_on_is_not_lost(seen: list[int]) -> None:
    with stopping() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert (stop.came, seen) == (signal.SIGTERM, [])
    assert seen == [signal.SIGTERM]


@pytest.mark.parametrize("inside", [True, False])
def test_where_it_may_a_signal_raises_at_once_and_later_ones_are_ignored(seen: list[int], inside: bool) -> None:
    with pytest.raises(Interrupted, match="stopped by SIGTERM"):
        asked(inside=inside)
    for number in STOPS:
        signal.raise_signal(number)
    assert seen == []
