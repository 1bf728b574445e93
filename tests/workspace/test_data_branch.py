import shutil
from pathlib import Path

import pytest
from trees import commit
from workspace_project import DATA_FILES, change, clone, git, head, state_of_person, write

from roadseg.contracts.errors import UsageError
from roadseg.workspace.data_branch import BRANCH, adopt, advance, branch_tip, current_data
from roadseg.workspace.lock import Holder
from roadseg.workspace.remote import Committed
from roadseg.workspace.tree import workspace

LIST = "data/quarantine.csv"  # any of the data files: what is said of one holds for all


def ingest(project: Path, me: Holder, text: str, revision: str = "main") -> Committed:
    """What an import into the workspace does: change a data file and advance the branch."""
    with workspace(project, head(project, revision), me) as tree:
        write(tree, {LIST: text})
        return advance(project, tree, f"ingest {text}")


def used(project: Path, revision: str = "main") -> str:
    """The list that a run on a revision would use."""
    return git(project, "show", f"{current_data(project, head(project, revision)).commit}:{LIST}")


def test_without_the_branch_a_run_takes_the_data_files_of_its_revision(project: Path) -> None:
    state = current_data(project, head(project))
    assert (state.commit, state.notes, state.moves) == (head(project), (), False)


def test_the_first_import_makes_the_branch_from_the_revision_and_nobody_must_merge(project: Path, me: Holder) -> None:
    start, person = head(project), state_of_person(project)
    done = ingest(project, me, "one")
    assert (done.branch, done.pushed, done.problem) == (BRANCH, False, "")
    assert head(project, BRANCH) == done.commit
    assert head(project, f"{BRANCH}^") == start
    assert git(project, "diff", "--name-only", start, done.commit) == LIST
    assert used(project) == "one"
    assert state_of_person(project) == person
    ingest(project, me, "two")
    assert used(project) == "two"
    assert git(project, "rev-list", "--count", f"{start}..{BRANCH}") == "2"


def test_the_workspace_has_the_data_files_of_the_branch_and_the_code_of_its_commit(project: Path, me: Holder) -> None:
    ingest(project, me, "one")
    code = change(project, "src/roadseg/scan/stage.py", "two = 2\n")
    with workspace(project, code, me) as tree:
        assert (tree / LIST).read_text() == "one"
        assert (tree / "src/roadseg/scan/stage.py").read_text() == "two = 2\n"


def test_a_file_that_the_branch_has_removed_is_not_in_the_workspace(project: Path, me: Holder) -> None:
    with workspace(project, head(project), me) as tree:
        (tree / LIST).unlink()
        advance(project, tree, "remove")
        write(tree, {LIST: "again"})
        advance(project, tree, "and back")
        (tree / LIST).unlink()
        advance(project, tree, "remove")
    with workspace(project, head(project), me) as tree:
        assert not (tree / LIST).exists()


def test_nothing_new_makes_no_commit(project: Path, me: Holder) -> None:
    first = ingest(project, me, "one")
    assert ingest(project, me, "one") == first


def test_a_commit_after_a_merge_moves_the_branch_forward(project: Path, me: Holder) -> None:
    ingest(project, me, "one")
    git(project, "merge", "-q", BRANCH)
    newer = change(project, LIST, "person's")
    state = current_data(project, newer)
    assert (state.commit, state.moves) == (newer, True)
    with workspace(project, newer, me) as tree:
        assert (tree / LIST).read_text() == "person's"
    assert head(project, BRANCH) == newer
    ingest(project, me, "three")
    assert used(project) == "three"


def test_a_commit_that_took_the_branch_s_files_without_a_merge_moves_it_too(project: Path, me: Holder) -> None:
    first = ingest(project, me, "one").commit
    change(project, LIST, "one")  # as `git checkout roadseg/data -- ...` and a commit do
    newer = change(project, LIST, "person's")
    with workspace(project, newer, me):
        pass
    assert git(project, "show", f"{BRANCH}:{LIST}") == "person's"
    assert git(project, "merge-base", newer, BRANCH) == newer
    assert git(project, "merge-base", first, BRANCH) == first  # so it can be pushed
    ingest(project, me, "three")
    assert used(project) == "three"


def test_a_person_who_goes_back_to_earlier_data_is_followed(project: Path, me: Holder) -> None:
    ingest(project, me, "one")
    git(project, "merge", "-q", BRANCH)
    newer = change(project, LIST, "sample\n")
    with workspace(project, newer, me) as tree:
        assert (tree / LIST).read_text() == "sample\n"
    assert used(project) == "sample"


def test_an_older_revision_runs_on_the_newest_data(project: Path, me: Holder) -> None:
    start = head(project)
    ingest(project, me, "one")
    git(project, "merge", "-q", BRANCH)
    ingest(project, me, "two")
    assert used(project, start) == "two"
    assert current_data(project, start).notes == (
        f"the data files are those of {BRANCH} ({head(project, BRANCH)[:9]})",
    )


def test_a_commit_of_another_branch_uses_its_data_alone(project: Path, me: Holder) -> None:
    ingest(project, me, "one")
    git(project, "switch", "-q", "-c", "experiment", BRANCH)
    newer = change(project, LIST, "half of it")
    git(project, "switch", "-q", "main")
    before = head(project, BRANCH)
    with workspace(project, newer, me) as tree:
        assert (tree / LIST).read_text() == "half of it"
    assert head(project, BRANCH) == before
    assert "are taken for this run alone" in current_data(project, newer).notes[0]
    assert used(project) == "one"


@pytest.mark.parametrize("winner", ["main", BRANCH])
def test_only_where_both_changed_the_run_stops_and_adopt_settles_it(project: Path, me: Holder, winner: str) -> None:
    ingest(project, me, "one")
    newer = change(project, LIST, "person's")
    with (
        pytest.raises(UsageError, match="both changed since they last agreed") as caught,
        workspace(project, newer, me),
    ):
        pass
    for name in (newer[:9], head(project, BRANCH)[:9], f"`roadseg data adopt {newer[:9]}`", f"adopt {BRANCH}`"):
        assert name in str(caught.value)
    person = state_of_person(project)
    assert adopt(project, winner).branch == BRANCH
    assert state_of_person(project) == person
    expected = {"main": "person's", BRANCH: "one"}[winner]
    assert used(project) == expected
    change(project, "src/roadseg/scan/stage.py", "two = 2\n")
    assert used(project) == expected  # and it stays settled
    ingest(project, me, "three")
    assert used(project) == "three"


def test_adopt_refuses_what_has_no_data(project: Path, me: Holder) -> None:
    ingest(project, me, "one")
    git(project, "rm", "-q", "--cached", *DATA_FILES)
    git(project, "-c", "user.name=a", "-c", "user.email=b", "commit", "-q", "-m", "none")
    with pytest.raises(UsageError, match=r"git add data/raw.dvc data/classes.yaml"):
        adopt(project, "main")
    with pytest.raises(UsageError, match="is no branch, tag or commit"):
        adopt(project, "nothing")


def test_data_files_that_no_commit_holds_are_named_with_the_git_add(project: Path) -> None:
    git(project, "rm", "-q", "--cached", *DATA_FILES)
    git(project, "-c", "user.name=a", "-c", "user.email=b", "commit", "-q", "-m", "none")
    with pytest.raises(UsageError, match=f"`git add {' '.join(DATA_FILES)}`, commit$"):
        current_data(project, head(project))
    for name in DATA_FILES:
        (project / name).unlink()
    with pytest.raises(UsageError, match="so there are no data: `roadseg data import ARCHIVE`, then `git add"):
        current_data(project, head(project))


def test_data_files_that_were_edited_since_are_named(project: Path) -> None:
    write(project, {LIST: "edited"})
    (note,) = current_data(project, head(project)).notes
    assert note == f"{LIST} of {project}: changed and left out until `git add {LIST}` and a commit"


def test_a_move_of_the_branch_in_the_middle_of_an_import_loses_nothing(project: Path, me: Holder) -> None:
    with workspace(project, head(project), me) as tree:
        write(tree, {LIST: "mine"})
        tip = change(project, LIST, "theirs")
        git(project, "branch", "-q", BRANCH, tip)
        with pytest.raises(UsageError, match=r"has moved to .* since this run began; nothing is committed on it: run"):
            advance(project, tree, "mine")
    assert head(project, BRANCH) == tip


def test_the_branch_is_pushed_and_taken_from_the_remote(
    project: Path, remote: Path, me: Holder, tmp_path: Path
) -> None:
    other = clone(remote, tmp_path / "other")
    done = ingest(project, me, "one")
    assert done.pushed
    assert git(remote, "rev-parse", BRANCH) == done.commit
    assert branch_tip(other).commit == done.commit
    second = ingest(other, me, "two")  # from another machine
    assert git(project, "rev-parse", BRANCH) == done.commit
    assert used(project) == "two"
    third = ingest(project, me, "three")
    assert git(project, "rev-parse", f"{third.commit}^") == second.commit
    assert git(remote, "rev-parse", BRANCH) == git(project, "rev-parse", BRANCH) == third.commit


def test_two_machines_that_both_imported_beside_a_dead_remote_are_settled_by_adopt(
    project: Path, remote: Path, me: Holder, tmp_path: Path
) -> None:
    other = clone(remote, tmp_path / "other")
    remote.rename(tmp_path / "away")
    ingest(project, me, "one")
    (tmp_path / "away").rename(remote)
    theirs = ingest(other, me, "two").commit
    mine = head(project, BRANCH)
    with pytest.raises(UsageError, match=f"here .{mine[:9]}. and at origin .{theirs[:9]}. both changed"):
        current_data(project, head(project))
    assert adopt(project, mine).pushed
    assert used(project) == used(other) == "one"


def test_what_a_dead_remote_did_not_take_goes_there_with_the_next_run(
    project: Path, remote: Path, me: Holder, tmp_path: Path
) -> None:
    remote.rename(tmp_path / "away")
    done = ingest(project, me, "one")
    assert not done.pushed
    assert f"it stays here, and the next run pushes it; by hand `git push origin {BRANCH}`" in done.problem
    said: list[str] = []
    with workspace(project, head(project), me, said.append):
        assert said == [f"{BRANCH} is still not at the remote; the next run tries again"]
    (tmp_path / "away").rename(remote)
    with workspace(project, head(project), me, said.append):
        assert len(said) == 1
    assert git(remote, "rev-parse", BRANCH) == done.commit


def test_a_branch_that_blocks_the_name_is_named(project: Path, me: Holder) -> None:
    git(project, "branch", "-q", "roadseg")
    with pytest.raises(
        UsageError, match="named roadseg is there, so git can have none named roadseg/data: `git branch"
    ):
        ingest(project, me, "one")


def test_a_branch_that_a_person_has_checked_out_is_not_moved(project: Path, me: Holder) -> None:
    ingest(project, me, "one")
    git(project, "switch", "-q", BRANCH)
    person = state_of_person(project)
    with pytest.raises(UsageError, match=f"branch {BRANCH} is checked out in {project} and cannot be moved"):
        ingest(project, me, "two")
    newer = change(project, LIST, "person's")
    said: list[str] = []
    git(project, "branch", "-q", "-f", "main", newer)
    with workspace(project, newer, me, said.append) as tree:  # moved by the person's own commit
        assert (tree / LIST).read_text() == "person's"
    assert said == []
    assert person != state_of_person(project)


def test_where_the_branch_cannot_move_forward_whoever_advances_it_says_why(
    project: Path, me: Holder, tmp_path: Path
) -> None:
    ingest(project, me, "one")
    git(project, "merge", "-q", BRANCH)
    newer = change(project, LIST, "person's")
    git(project, "worktree", "add", "-q", str(tmp_path / "other"), BRANCH)
    said: list[str] = []
    with workspace(project, newer, me, said.append):
        assert said == [
            f"branch {BRANCH} is checked out in {tmp_path / 'other'} and cannot be moved: `git switch` to another"
        ]
    with pytest.raises(UsageError, match=f"branch {BRANCH} is checked out in {tmp_path / 'other'}"):
        ingest(project, me, "two")


def test_in_a_subfolder_of_a_repository_the_branch_holds_the_project_s_files(
    project: Path, me: Holder, tmp_path: Path
) -> None:
    company = tmp_path / "company"
    shutil.copytree(project, company / "vision/roads", ignore=shutil.ignore_patterns(".git"))
    write(company, {"data/quarantine.csv": "of a sibling\n"})
    commit(company, "start")
    tree = company / "vision/roads"
    done = ingest(tree, me, "one")
    assert git(company, "diff", "--name-only", "main", done.commit) == f"vision/roads/{LIST}"
    assert current_data(tree, head(company)).commit == done.commit
