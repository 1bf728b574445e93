import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from roadseg.contracts.errors import BUSY
from roadseg.workspace.lock import Held, Holder, present_holder, workspace_lock

HOLD = """
import sys, time
from roadseg.workspace.lock import Holder, workspace_lock
with workspace_lock(Holder("other", "ingest", 7, 0.0)):
    print("held", flush=True)
    time.sleep(60)
"""
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def other(background: Start) -> subprocess.Popen[bytes]:
    """Another process that holds the workspace."""
    process = background([sys.executable, "-c", HOLD], stdout=subprocess.PIPE)
    assert process.stdout
    with process.stdout:
        assert process.stdout.readline() == b"held\n"
    return process


def test_a_held_workspace_names_its_holder(other: subprocess.Popen[bytes], me: Holder) -> None:
    with pytest.raises(Held, match=r"in use by ingest \(process 7, since 1970") as caught, workspace_lock(me):
        pass
    assert caught.value.exit_code == BUSY
    assert caught.value.holder == present_holder() == Holder("other", "ingest", 7, 0.0)


def test_the_kernel_frees_what_a_killed_run_held(other: subprocess.Popen[bytes], me: Holder) -> None:
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert present_holder() is None
    with workspace_lock(me):
        assert present_holder() == me
    assert present_holder() is None


def test_a_run_is_held_by_itself_too(me: Holder) -> None:
    with workspace_lock(me), pytest.raises(Held), workspace_lock(me):
        pass


def test_what_a_run_has_started_does_not_hold_the_workspace_after_it(me: Holder, background: Start) -> None:
    with workspace_lock(me):
        background(["sleep", "60"])
    assert present_holder() is None


def test_whoever_only_asks_hinders_no_run(me: Holder) -> None:
    end = time.monotonic() + 1

    def ask() -> set[Holder | None]:
        found = set()
        while time.monotonic() < end:
            found.add(present_holder())
        return found

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        while time.monotonic() < end:
            with workspace_lock(me):
                pass
    assert {holder.name for each in asking for holder in each.result() if holder} <= {me.name, "a run that has begun"}


def test_two_that_ask_do_not_take_each_other_for_a_run(me: Holder) -> None:
    with workspace_lock(me):
        pass
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: present_holder(), range(4000))) == {None}


def test_the_file_is_in_home(me: Holder) -> None:
    with workspace_lock(me):
        assert [path.name for path in Path(os.environ["ROADSEG_HOME"]).iterdir()] == ["workspace.lock"]
