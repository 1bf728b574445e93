import shutil
import subprocess
from pathlib import Path

import pytest
from trees import commit
from workspace_project import change, clone, git, head, write

from roadseg.contracts.errors import UsageError
from roadseg.workspace.revision import find_revision, remember_served, served_repository


def test_without_a_remote_the_local_branch_is_taken_and_said(project: Path) -> None:
    found = find_revision(project)
    assert (found.commit, found.name) == (head(project), "main")
    assert found.notes == ("there is no remote, so the local branch main is taken",)


def test_the_default_is_the_newest_commit_at_the_remote(project: Path, remote: Path, tmp_path: Path) -> None:
    other = clone(remote, tmp_path / "other")
    newest = change(other, "params.yaml", "scan: {seed: 1}\n")
    git(other, "push", "-q")
    found = find_revision(project)
    assert (found.commit, found.name, found.notes) == (newest, "origin/main", ())
    assert head(project) != newest


def test_commits_that_are_not_pushed_are_left_out_and_said(project: Path, remote: Path) -> None:
    pushed = head(project)
    change(project, "params.yaml", "scan: {seed: 1}\n")
    for asked in ("", "main", "origin/main"):
        found = find_revision(project, asked)
        assert found.commit == pushed
        assert found.notes == ("1 commit(s) of the local branch main are not at origin and left out: `git push`",)


def test_a_branch_that_the_remote_lacks_is_taken_from_here(project: Path, remote: Path) -> None:
    git(project, "switch", "-q", "-c", "mine")
    found = find_revision(project)
    assert (found.commit, found.name) == (head(project), "mine")
    assert found.notes == ("branch mine is not at origin, so the local one is taken",)


def test_a_remote_that_is_gone_leaves_what_was_fetched_before(project: Path, remote: Path) -> None:
    shutil.rmtree(remote)
    found = find_revision(project)
    assert (found.commit, found.name) == (head(project), "origin/main")
    assert "origin does not answer (" in found.notes[0]
    assert "what was fetched before is taken" in found.notes[0]


def test_a_branch_that_was_deleted_at_the_remote_is_not_taken_from_an_old_copy(project: Path, remote: Path) -> None:
    git(project, "push", "-q", "origin", "main:old")
    git(project, "fetch", "-q")
    git(remote, "branch", "-q", "-D", "old")
    with pytest.raises(UsageError, match=r"'old' is no branch, tag or commit of .* and of origin"):
        find_revision(project, "old")


def test_the_served_branch_is_that_of_make_up(project: Path) -> None:
    remember_served(project)
    served = head(project)
    git(project, "switch", "-q", "-c", "experiment")
    change(project, "params.yaml", "scan: {seed: 1}\n")
    assert find_revision(project).commit == served
    assert served_repository() == project


def test_a_served_branch_that_is_gone_says_what_to_do(project: Path) -> None:
    remember_served(project)
    git(project, "branch", "-q", "-m", "another")
    with pytest.raises(UsageError, match=r"branch main, served since `make up`, is gone from .*: `make up` on another"):
        find_revision(project)


def test_a_checkout_on_no_branch_stays_at_its_commit(project: Path) -> None:
    start = head(project)
    git(project, "switch", "-q", "--detach")
    remember_served(project)
    change(project, "params.yaml", "scan: {seed: 1}\n")
    found = find_revision(project)
    assert (found.commit, found.name) == (start, start[:9])
    assert found.notes == (f"{project} was on no branch at `make up`, so each run works on the commit it was on",)


def test_changes_that_are_not_committed_are_counted_and_what_the_graph_makes_is_not(project: Path) -> None:
    write(project, {"params.yaml": "scan: {seed: 1}\n", "metrics.json": "{}", "dvc.lock": ""})
    assert f"1 file is not committed in {project} and left out" in find_revision(project).notes
    write(project, {"new/one.py": "", "src/roadseg/scan/new.py": ""})
    assert f"3 files are not committed in {project} and left out" in find_revision(project, "main").notes


def test_an_edit_in_the_middle_stops_no_run(project: Path) -> None:
    write(project, {"dvc.yaml": "stages: [oh\n <<<<<<< {"})
    assert find_revision(project).commit == head(project)


@pytest.mark.parametrize("asked", ["-x", "--upload-pack=touch x", " main", "main\n"])
def test_what_looks_like_an_option_is_no_revision(project: Path, remote: Path, asked: str) -> None:
    with pytest.raises(UsageError, match="looks like an option: give a branch, a tag or a commit"):
        find_revision(project, asked)


@pytest.mark.parametrize("asked", ["nothing", "main:params.yaml", "0123456789", "main..main", "a b", "*"])
def test_what_is_no_commit_is_named(project: Path, remote: Path, asked: str) -> None:
    with pytest.raises(UsageError, match=r"is no branch, tag or commit of .* and of origin: push it, or correct"):
        find_revision(project, asked)


def test_tags_commits_and_branches_are_found_by_name(project: Path, remote: Path, tmp_path: Path) -> None:
    other = clone(remote, tmp_path / "other")
    git(other, "switch", "-q", "-c", "feature")
    feature = change(other, "params.yaml", "scan: {seed: 1}\n")
    git(other, "push", "-q", "origin", "feature")
    git(other, "switch", "-q", "--detach", "main")
    tagged = change(other, "params.yaml", "scan: {seed: 2}\n")
    git(other, "tag", "v1.2")
    git(other, "push", "-q", "origin", "v1.2")
    assert find_revision(project, "feature").name == "origin/feature"
    assert find_revision(project, "feature").commit == feature
    assert find_revision(project, "v1.2").commit == tagged
    assert git(project, "tag") == ""  # the person's own tags stay as they are
    start = head(project)
    assert find_revision(project, start[:10]).name == start[:9]


def test_a_project_in_a_subfolder_is_served_as_such(tmp_path: Path) -> None:
    tree = tmp_path / "company"
    write(tree, {"vision/roads/dvc.yaml": "stages: {}\n", "other/file.txt": "one\n"})
    commit(tree, "start")
    remember_served(tree / "vision/roads")
    write(tree, {"other/file.txt": "two\n"})
    assert served_repository() == tree / "vision/roads"
    assert len(find_revision(tree / "vision/roads").notes) == 1  # the sibling's change is not ours


def test_a_checkout_that_is_gone_is_named(project: Path) -> None:
    remember_served(project)
    shutil.rmtree(project)
    with pytest.raises(UsageError, match=r"was served at the last `make up` and has no dvc\.yaml now: `make up` again"):
        served_repository()


def test_where_nothing_is_served_the_current_folder_is(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    assert served_repository() == project
    monkeypatch.chdir(project / "data")
    with pytest.raises(UsageError, match=r"no checkout is served in .*: run `make up` in one"):
        served_repository()


def test_no_repository_and_no_commit_are_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is in no git repository: `git init`"):
        find_revision(tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    with pytest.raises(UsageError, match="has no commit yet"):
        find_revision(tmp_path)
