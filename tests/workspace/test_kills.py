import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from workspace_project import change, git, head, state_of_person

from roadseg.workspace.data_branch import BRANCH, branch_tip
from roadseg.workspace.lock import Holder, present_holder
from roadseg.workspace.results import commit_results
from roadseg.workspace.tree import workspace

WORK = """
import sys, itertools
from pathlib import Path
from roadseg.workspace.data_branch import advance
from roadseg.workspace.lock import Holder
from roadseg.workspace.results import commit_results, write_overrides
from roadseg.workspace.tree import workspace
project, commits = Path(sys.argv[1]), sys.argv[2:]
print("ready", flush=True)
for number in itertools.count():
    with workspace(project, commits[number % len(commits)], Holder("killed", "killed", 1, 0.0)) as tree:
        write_overrides(tree, {"scan": {"seed": number + 5}})
        (tree / "dvc.lock").write_text(str(number))
        commit_results(tree, "roadseg/retrain/killed", "results")
        (tree / "data/quarantine.csv").write_text(str(number))
        advance(project, tree, "data")
"""


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(50))
def test_a_run_that_is_killed_anywhere_leaves_a_workspace_for_the_next(
    project: Path, me: Holder, background: Callable[..., subprocess.Popen[bytes]], seed: int
) -> None:
    kill_one(project, me, background, random.Random(seed).uniform(0.0, 2.5))


def test_a_run_that_is_killed_leaves_a_workspace_for_the_next(
    project: Path, me: Holder, background: Callable[..., subprocess.Popen[bytes]]
) -> None:
    for seconds in (0.05, 0.25, 0.6):
        kill_one(project, me, background, seconds)


def kill_one(project: Path, me: Holder, background: Callable[..., subprocess.Popen[bytes]], seconds: float) -> None:
    first = head(project)
    second = change(project, "src/roadseg/scan/stage.py", f"one = {seconds}\n")
    person = state_of_person(project)
    killed = background([sys.executable, "-c", WORK, str(project), first, second], stdout=subprocess.PIPE)
    assert killed.stdout
    with killed.stdout:
        assert killed.stdout.readline() == b"ready\n"
    time.sleep(seconds)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    end = time.monotonic() + 5  # a child between fork and exec still has the lock
    while present_holder() and time.monotonic() < end:
        time.sleep(0.05)
    with workspace(project, second, me) as tree:
        assert head(tree) == second
        assert (tree / "src/roadseg/scan/stage.py").read_text() == f"one = {seconds}\n"
        assert git(tree, "diff", "--name-only") == ""
        (tree / "dvc.lock").write_text(f"after {seconds}")
        done = commit_results(tree, f"roadseg/retrain/after-{seconds}", "results")
    assert (done.branch, done.problem) == (f"roadseg/retrain/after-{seconds}", "")
    assert state_of_person(project) == person
    assert git(project, "fsck", "--connectivity-only", "--no-dangling") == ""
    if tip := branch_tip(project).commit:
        assert git(project, "show", f"{tip}:data/quarantine.csv").isdigit()
        assert git(project, "rev-parse", BRANCH) == tip
