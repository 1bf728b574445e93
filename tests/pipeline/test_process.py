import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from roadseg.contracts.errors import UsageError
from roadseg.pipeline.process import stream

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def group_members(leader: int) -> list[int]:
    members = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return members


def shell(script: str, tmp_path: Path, grace: float = 5) -> tuple[int, list[str]]:
    lines: list[str] = []
    status = stream(["sh", "-c", script], cwd=tmp_path, env=dict(os.environ), line=lines.append, grace=grace)
    return status, lines


def test_lines_and_exit_status_come_back(tmp_path: Path) -> None:
    assert shell("echo one; echo two >&2; exit 7", tmp_path) == (7, ["one", "two"])


def test_without_setpriv_it_is_said_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="setpriv is not installed"):
        shell("true", tmp_path)


def test_a_progress_bar_shows_its_last_state(tmp_path: Path) -> None:
    assert shell(r"printf '10%%\r90%%\n'", tmp_path) == (0, ["90%"])


def test_what_outlives_the_leader_is_ended(tmp_path: Path) -> None:
    status, lines = shell("sleep 60 >/dev/null 2>&1 & echo $$", tmp_path)
    assert status == 0
    assert group_members(int(lines[0])) == []


def test_what_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    start = time.monotonic()
    script = f'{sys.executable} -c "{STUBBORN}" > up & until [ -s up ]; do sleep 0.05; done; echo $$'
    _, lines = shell(script, tmp_path, grace=1)
    assert group_members(int(lines[0])) == []
    assert 1 <= time.monotonic() - start < 20


def test_a_grandchild_may_use_the_grace_to_finish(tmp_path: Path) -> None:
    code = (
        "import pathlib, signal, sys, time\n"
        "def end(*_): time.sleep(1); pathlib.Path('saved').touch(); sys.exit(75)\n"
        "signal.signal(signal.SIGTERM, end); pathlib.Path('up').touch(); time.sleep(60)"
    )
    (tmp_path / "child.py").write_text(code)
    shell(f"{sys.executable} child.py >/dev/null 2>&1 & until [ -e up ]; do sleep 0.05; done", tmp_path)
    assert (tmp_path / "saved").exists()


def test_an_error_in_the_reader_leaves_nothing_behind(tmp_path: Path) -> None:
    pids: list[int] = []

    def fail(said: str) -> None:
        pids.append(int(said))
        raise RuntimeError("reader")

    with pytest.raises(RuntimeError, match="reader"):
        stream(["sh", "-c", "echo $$; sleep 60"], cwd=tmp_path, env=dict(os.environ), line=fail, grace=5)
    assert group_members(pids[0]) == []


def test_the_command_ends_when_its_caller_is_killed(
    tmp_path: Path, background: Callable[..., subprocess.Popen[bytes]]
) -> None:
    caller = (
        "import os, pathlib\nfrom roadseg.pipeline.process import stream\n"
        "stream(['sh', '-c', 'echo $$ > pid; exec sleep 60'], cwd=pathlib.Path.cwd(), env=os.environ, line=print)"
    )
    process = background([sys.executable, "-c", caller], cwd=tmp_path)
    pid = tmp_path / "pid"
    deadline = time.monotonic() + 20
    while not (pid.exists() and pid.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 5
    while group_members(int(pid.read_text())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert group_members(int(pid.read_text())) == []
