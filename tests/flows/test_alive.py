"""How a run's process is tied to its worker, and how others know that it lives."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from flows.services.alive import RUN_VARIABLE, forget, known_runs, life, runs_at_work
from flows.services.engine import WORKER_VARIABLE

HOLD = "import sys, time; from flows.services.alive import hold; hold(sys.argv[1]); time.sleep(600)"


def test_a_run_whose_worker_died_before_it_began_never_begins(tmp_path: Path) -> None:
    settings = {**os.environ, WORKER_VARIABLE: "1", RUN_VARIABLE: "a"}
    done = subprocess.run([sys.executable, "-m", "flows.services.engine"], env=settings, timeout=60)
    assert done.returncode == -signal.SIGTERM
    assert known_runs() == []


def test_a_run_lives_as_long_as_one_of_its_processes_holds_its_lock(
    background: Callable[..., subprocess.Popen[bytes]],
) -> None:
    assert life("a", ()) == "unknown"
    first = background([sys.executable, "-c", HOLD, "a"])
    while life("a", ()) != "alive":
        time.sleep(0.05)
    second = background([sys.executable, "-c", HOLD, "a"])  # it goes on after a question, while the first still ends
    while not opens(second, "a.lock"):
        time.sleep(0.05)
    for process, then in ((first, "alive"), (second, "dead")):
        process.kill()
        process.wait()
        assert life("a", ()) == then
    forget("a")
    assert (life("a", ()), known_runs()) == ("unknown", [])


def opens(process: subprocess.Popen[bytes], name: str) -> bool:
    return any(Path(file.path).name == name for file in psutil.Process(process.pid).open_files())


def test_a_process_counts_for_its_run_in_its_own_home_alone(
    tmp_path: Path, background: Callable[..., subprocess.Popen[bytes]]
) -> None:
    for run, home in (("mine", os.environ["ROADSEG_HOME"]), ("theirs", str(tmp_path / "other"))):
        background(["sleep", "600"], env={RUN_VARIABLE: run, "ROADSEG_HOME": home, "PATH": os.environ["PATH"]})
    deadline = time.monotonic() + 20
    while "mine" not in runs_at_work() and time.monotonic() < deadline:  # until the new program has its environment
        time.sleep(0.05)
    assert runs_at_work() == {"mine"}
