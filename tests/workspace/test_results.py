import re
import shutil
from pathlib import Path

import pytest
from workspace_project import RESULTS, change, clone, git, head, state_of_person, write

from roadseg.contracts.errors import UsageError
from roadseg.workspace.lock import Holder
from roadseg.workspace.remote import Committed, push_left
from roadseg.workspace.results import apply_results, branch_name, commit_results, write_overrides
from roadseg.workspace.tree import workspace

BRANCH = "roadseg/retrain/one"


def train(project: Path, me: Holder, lock: str = "one", branch: str = BRANCH) -> Committed:
    """A run that makes a lock and its scores."""
    with workspace(project, head(project), me) as tree:
        write(tree, {"dvc.lock": lock, "metrics.json": "{}", "reports/verdict.json": "{}", "other.txt": ""})
        return commit_results(tree, branch, "results of a run")


def test_overrides_are_committed_before_the_run_and_nothing_else_of_params_changes(project: Path, me: Holder) -> None:
    with workspace(project, head(project), me) as tree:
        commit = write_overrides(tree, {"evaluate": {"batch": 16}, "scan": {"seed": None}, "promote": {"gain": 0.01}})
        assert head(tree) == commit
    diff = git(project, "diff", "--unified=0", head(project), commit)
    assert re.findall(r"^[-+] .*", diff, re.M) == ["-  batch: 4  # images", "+  batch: 16 # images", *GAINS]
    assert git(project, "log", "-1", "--format=%s", commit) == "evaluate.batch 4 -> 16; promote.gain 0.003 -> 0.01"


GAINS = ["-  gain: 0.003", "+  gain: 0.01"]


def test_no_override_makes_no_commit(project: Path, me: Holder) -> None:
    with workspace(project, head(project), me) as tree:
        assert write_overrides(tree, {"evaluate": {"batch": 4}}) == head(project)
        assert write_overrides(tree, {}) == head(project)


@pytest.mark.parametrize("overrides", [{"scan": {"sed": 1}}, {"scam": {"seed": 1}}])
def test_a_key_that_the_revision_does_not_have_is_refused(
    project: Path, me: Holder, overrides: dict[str, dict[str, int]]
) -> None:
    with (
        workspace(project, head(project), me) as tree,
        pytest.raises(UsageError, match=r"params\.yaml of this revision has no sca.\.see?d: leave the override out"),
    ):
        write_overrides(tree, overrides)


def test_a_branch_says_deployment_day_and_run() -> None:
    assert re.fullmatch(r"roadseg/ingest/1970-01-01-01234567", branch_name("ingest", "0123456789", 0.0))


def test_results_stand_on_a_branch_of_their_own_and_only_they(project: Path, me: Holder) -> None:
    person = state_of_person(project)
    done = train(project, me)
    assert done == Committed(head(project, BRANCH), BRANCH, False)
    changed = git(project, "diff", "--name-only", "main", BRANCH).splitlines()
    assert changed == ["dvc.lock", "metrics.json", "reports/verdict.json"]
    assert state_of_person(project) == person


def test_the_same_results_again_change_nothing_and_others_get_a_number(project: Path, me: Holder) -> None:
    first = train(project, me)
    with workspace(project, first.commit, me) as tree:
        assert commit_results(tree, BRANCH, "again") == first
        write(tree, {"dvc.lock": "two"})
        further = commit_results(tree, BRANCH, "goes on")
    assert further.branch == BRANCH
    assert git(project, "rev-parse", f"{BRANCH}^") == first.commit
    assert train(project, me, "three").branch == f"{BRANCH}-2"
    assert head(project, BRANCH) == further.commit


def test_results_are_pushed_and_those_that_a_dead_remote_did_not_take_with_the_next(
    project: Path, remote: Path, me: Holder, tmp_path: Path
) -> None:
    assert train(project, me).pushed
    assert git(remote, "rev-parse", BRANCH) == head(project, BRANCH)
    remote.rename(tmp_path / "away")
    lost = train(project, me, "two", "roadseg/retrain/two")
    assert not lost.pushed
    assert re.search(r"two is not at origin \(.*\): it stays here, and the next run pushes it", lost.problem)
    gone = train(project, me, "three", "roadseg/retrain/three")
    git(project, "branch", "-q", "-D", gone.branch)  # somebody does not want it
    (tmp_path / "away").rename(remote)
    git(remote, "branch", "-q", "-D", BRANCH)  # and this one not any more
    assert train(project, me, "four", "roadseg/retrain/four").pushed
    there = git(remote, "for-each-ref", "--format=%(refname:short)", "refs/heads/roadseg").splitlines()
    assert there == ["roadseg/retrain/four", "roadseg/retrain/two"]


def test_what_one_clone_could_not_push_another_that_shares_the_home_leaves_to_it(
    project: Path, remote: Path, me: Holder, tmp_path: Path
) -> None:
    other = clone(remote, tmp_path / "other")
    remote.rename(tmp_path / "away")
    lost = train(project, me)
    (tmp_path / "away").rename(remote)
    assert push_left(other) == []
    assert train(other, me, "two", "roadseg/retrain/two").pushed
    assert not git(remote, "for-each-ref", f"refs/heads/{lost.branch}")
    assert push_left(project) == []
    assert git(remote, "rev-parse", lost.branch) == lost.commit


@pytest.mark.parametrize("where", ["here", "there"])
def test_a_branch_named_roadseg_costs_no_results(project: Path, remote: Path, me: Holder, where: str) -> None:
    git(project if where == "here" else remote, "branch", "-q", "roadseg", "main")
    done = train(project, me)
    assert not done.pushed
    assert git(project, "show", f"{done.branch}:dvc.lock") == "one"
    if where == "here":
        assert done.branch == f"refs/roadseg/results/{BRANCH}"
        assert "git can have none named roadseg/retrain/one: `git branch -m roadseg ANOTHER-NAME`" in done.problem
    else:
        assert done.branch == BRANCH
        assert "is not at origin" in done.problem


def test_results_come_into_a_clean_checkout_staged(after_a_run: Path) -> None:
    before = head(after_a_run)
    write(after_a_run, {"src/roadseg/scan/stage.py": "edited = 1\n"})  # of no concern
    assert apply_results(after_a_run, RESULTS) == ["dvc.lock", "metrics.json"]
    assert git(after_a_run, "diff", "--cached", "--name-only").splitlines() == ["dvc.lock", "metrics.json"]
    assert git(after_a_run, "diff", "--name-only").splitlines() == ["src/roadseg/scan/stage.py"]
    assert head(after_a_run) == before
    git(after_a_run, "-c", "user.name=a", "-c", "user.email=b", "commit", "-q", "-m", "take them")
    assert apply_results(after_a_run, RESULTS) == []


@pytest.mark.parametrize("name", ["dvc.lock", "params.yaml", "data/quarantine.csv"])
def test_results_do_not_come_over_what_is_not_committed(after_a_run: Path, name: str) -> None:
    write(after_a_run, {name: "mine"})
    with pytest.raises(UsageError, match=f"^{name}: changed and not committed, so nothing is brought: commit or"):
        apply_results(after_a_run, RESULTS)
    assert (after_a_run / name).read_text() == "mine"
    assert not (after_a_run / "metrics.json").exists()


def test_the_data_files_of_a_run_come_with_its_lock(after_a_run: Path, me: Holder) -> None:
    git(after_a_run, "switch", "-q", RESULTS)
    change(after_a_run, "data/quarantine.csv", "more")
    git(after_a_run, "switch", "-q", "main")
    assert "data/quarantine.csv" in apply_results(after_a_run, RESULTS)


def test_results_of_another_machine_come_from_the_remote(
    project: Path, remote: Path, me: Holder, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    git(tmp_path, "clone", "-q", str(remote), str(other))
    train(project, me)
    assert apply_results(other, BRANCH) == ["dvc.lock", "metrics.json", "reports/verdict.json"]
    with pytest.raises(UsageError, match=r"branch roadseg/retrain/no is not in .*: the run committed no results, or"):
        apply_results(other, "roadseg/retrain/no")


def test_in_a_subfolder_the_project_s_own_files_come(after_a_run: Path, tmp_path: Path) -> None:
    company = tmp_path / "company"
    shutil.copytree(after_a_run, company / "roads", ignore=shutil.ignore_patterns(".git"))
    change(company, "dvc.lock", "of a sibling")
    git(company, "switch", "-q", "-c", RESULTS)
    change(company, "roads/dvc.lock", "one")
    git(company, "switch", "-q", "main")
    assert apply_results(company / "roads", RESULTS) == ["dvc.lock"]
    assert (company / "roads/dvc.lock").read_text() == "one"
    write(company, {"roads/dvc.lock": "mine"})
    with pytest.raises(UsageError, match=r"^dvc\.lock: changed and not committed"):
        apply_results(company / "roads", RESULTS)
