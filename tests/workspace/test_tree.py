import os
from pathlib import Path

from trees import run
from workspace_project import git

from roadseg.workspace.changes import find_changes
from roadseg.workspace.lock import Holder
from roadseg.workspace.records import RunRecord, last_final, write_record
from roadseg.workspace.results import branch_name, commit_results, write_overrides
from roadseg.workspace.revision import find_revision
from roadseg.workspace.tree import bring_data, workspace

ME = Holder("0123456789", "retrain", os.getpid(), 0.0)


def test_a_run_in_the_workspace_changes_nothing_of_the_person_s(project: Path) -> None:
    revision = find_revision(project)
    before = git(project, "status", "--porcelain"), git(project, "rev-parse", "HEAD")
    with workspace(project, revision.commit, ME) as tree:
        commit = write_overrides(tree, {"evaluate": {"batch": 8}})
        bring_data(tree)
        assert (tree / "data/raw/leftImg8bit/train/1/a_image.jpg").exists()
        run(tree, "dvc", "repro", "-q")
        done = commit_results(tree, branch_name("retrain", ME.run), "results")
    assert git(project, "show", f"{done.branch}:params.yaml").endswith("gain: 0.003")
    assert (git(project, "status", "--porcelain"), git(project, "rev-parse", "HEAD")) == before
    assert commit != revision.commit
    write_record(RunRecord(run="a", name="held", commit=done.commit, final=True))
    changes = find_changes(project, revision.commit, {"evaluate": {"batch": 8}}, last_final())
    assert changes.sentence() == "nothing changed since held"
    changes = find_changes(project, revision.commit, {}, last_final())
    assert changes.sentence() == "evaluate.batch 8 -> 4"
