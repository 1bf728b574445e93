import subprocess
from pathlib import Path

import pytest
from trees import commit
from typer.testing import CliRunner

from roadseg.cli.app import app
from roadseg.contracts.files import home
from roadseg.workspace.lock import Holder, workspace_lock
from roadseg.workspace.records import RunRecord, records_folder, write_record

RECORD = RunRecord(
    run="3fa9c120-4f6b",
    name="promoted v7 +0.012",
    state="Completed",
    started=1_790_000_000.0,
    ended=1_790_004_000.0,
    reason="weekly [b]",
    requester="somebody",
    revision="origin/main",
    base="a" * 40,
    commit="b" * 40,
    branch="roadseg/retrain/2026-09-21-3fa9c120",
    changes=["drive added: train/12"],
    stages={"train": {"ended": "Ran", "why": "train.epochs 16 -> 24", "seconds": 3500}},
    version=7,
    outcome="PROMOTE",
    decision={"reasons": ["better by 0.012", "no rule is broken"]},
    final=True,
)


def say(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments], env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    return result.output


def fail(*arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments])
    assert result.exception is not None
    return str(result.exception)


def test_without_a_run_it_says_how_to_start_one() -> None:
    assert "no run has left a record in" in say("runs")
    assert "`roadseg runs` lists them" in fail("runs", "show", "3fa9")


def test_runs_are_listed_with_what_they_did() -> None:
    write_record(RECORD)
    write_record(RunRecord(run="77777777-1", state="Running", started=1_790_009_000.0, deployment="ingest"))
    head, newest, older = [line.split() for line in say("runs").splitlines() if line.strip()]
    assert head[:2] == ["run", "started"]
    assert (newest[0], newest[3], newest[4]) == ("77777777", "ingest", "Running")
    assert older[0] == "3fa9c120"
    assert " ".join(older[3:]) == "retrain promoted v7 +0.012 1 h 6 min origin/main weekly [b]"


def test_only_the_last_are_listed_unless_all_are_wanted() -> None:
    for number in range(25):
        write_record(RunRecord(run=f"run{number:05}", started=float(number)))
    assert (say("runs").count("retrain"), say("runs", "--all").count("retrain")) == (20, 25)


def test_a_run_is_shown_with_why_stages_decision_and_places() -> None:
    write_record(RECORD)
    (records_folder() / RECORD.run).mkdir()
    (home() / "workspace").mkdir()
    (home() / "workspace.last").write_text(RECORD.run)
    with workspace_lock(Holder(RECORD.run, "retrain", 1, 0.0)):
        shown = say("runs", "show", "3fa9")
    (home() / "workspace.last").write_text("another")
    for line in (
        "what it did        promoted v7 +0.012",
        "why                drive added: train/12",
        "stage train        Ran 58 min train.epochs 16 -> 24",
        "gate               better by 0.012",
        f"decision and page  {records_folder() / RECORD.run}",
        "results            roadseg/retrain/2026-09-21-3fa9c120 bbbbbbbbb",
    ):
        assert line in shown
    assert "workspace, in use by this run" in shown
    assert "problem" not in shown
    assert "workspace" not in say("runs", "show", "3fa9")


def test_results_are_brought_by_the_run_s_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "params.yaml").write_text("scan: {}\n")
    commit(tree, "start")
    subprocess.run(["git", "branch", "-q", RECORD.branch], cwd=tree, check=True)
    monkeypatch.chdir(tree)
    write_record(RECORD)
    assert f"this checkout has all of {RECORD.branch} already" in say("runs", "apply", "3fa9")
    subprocess.run(["git", "switch", "-q", RECORD.branch], cwd=tree, check=True)
    (tree / "dvc.lock").write_text("one")
    commit(tree, "results")
    subprocess.run(["git", "switch", "-q", "main"], cwd=tree, check=True)
    said = say("runs", "apply", "3fa9")
    assert "next: git commit -m 'Take the results of run 3fa9c120' -- dvc.lock; then dvc checkout" in said
    assert (tree / "dvc.lock").read_text() == "one"
    write_record(RECORD.model_copy(update={"branch": ""}))
    assert "left no branch with results" in fail("runs", "apply", "3fa9")
