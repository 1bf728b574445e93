import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from trees import commit, run
from workspace_project import add_drive, change, git, head, make_project, state_of_person, write

from roadseg.contracts.errors import Busy, UsageError
from roadseg.pipeline.dvc import dvc
from roadseg.workspace import tree as trees_in_home
from roadseg.workspace.changes import find_changes
from roadseg.workspace.lock import Held, Holder, present_holder
from roadseg.workspace.records import RunRecord
from roadseg.workspace.results import branch_name, commit_results, write_overrides
from roadseg.workspace.tree import bring_data, place_of, workspace

IMAGE = Path("data/raw/leftImg8bit/train/1/a_image.jpg")


@pytest.fixture
def home() -> Path:
    return Path(os.environ["ROADSEG_HOME"])


def test_a_run_changes_nothing_of_the_person_s_also_while_they_run_dvc_repro(
    project: Path, me: Holder, background: Callable[..., subprocess.Popen[bytes]]
) -> None:
    write(project, {"data/quarantine.csv": "half an edit", "new.py": ""})
    write(project, {"dvc.yaml": (project / "dvc.yaml").read_text().replace("cp data", "sleep 4 && cp data")})
    git(project, "add", "new.py")
    person = state_of_person(project)
    with workspace(project, head(project), me) as tree:
        theirs = background([sys.executable, "-m", "dvc", "repro", "-q"], cwd=project)
        commit_before = write_overrides(tree, {"evaluate": {"batch": 8}, "scan": {"seed": None}})
        bring_data(tree)
        assert (tree / IMAGE).read_text() == "image 1"
        run(tree, "dvc", "--wait-for-lock", "repro", "-q")
        done = commit_results(tree, branch_name("retrain", me.run, me.since), "results")
        assert theirs.wait() == 0
        record = RunRecord(run=me.run, commit=done.commit)
        assert place_of(record) == f"{tree}, in use by this run"
    assert place_of(record) == f"{tree}, as this run left it"
    assert place_of(RunRecord(run="another", commit=head(project))) == ""
    for made in ("dvc.lock", "metrics.json", "data/scan.parquet"):
        (project / made).unlink()
    assert state_of_person(project) == person
    assert git(project, "rev-list", "--format=%s", "--no-commit-header", f"main..{done.branch}").splitlines() == [
        "results",
        "evaluate.batch 4 -> 8",
    ]
    assert head(project, f"{done.branch}^") == commit_before
    changed = git(project, "diff", "--name-only", "main", done.branch).splitlines()
    assert changed == ["dvc.lock", "metrics.json", "params.yaml"]
    assert "batch: 8  # images" in git(project, "show", f"{done.branch}:params.yaml")


def test_the_worktree_stays_after_a_failure_and_the_next_run_cleans_it(project: Path, me: Holder, home: Path) -> None:
    def fail() -> None:
        with workspace(project, head(project), me) as tree:
            write(tree, {"left.txt": "", "params.yaml": "broken", "sub/repo/file": ""})
            git(tree / "sub/repo", "init", "-q")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert present_holder() is None
    assert (home / "workspace/left.txt").exists()
    with workspace(project, head(project), me) as tree:
        assert tree == home / "workspace"
        assert git(tree, "status", "--porcelain") == ""


def test_of_two_runs_on_one_commit_only_the_last_left_the_workspace(project: Path, me: Holder) -> None:
    later = replace(me, run="later")
    for holder in (me, later):
        with workspace(project, head(project), holder):
            pass
    places = [place_of(RunRecord(run=holder.run, commit=head(project))) for holder in (me, later)]
    assert places == ["", f"{os.environ['ROADSEG_HOME']}/workspace, as this run left it"]


def test_a_second_run_is_told_who_works_and_touches_nothing(project: Path, me: Holder) -> None:
    with workspace(project, head(project), me) as tree:
        write(tree, {"mine.txt": ""})
        with pytest.raises(Held, match="retrain, weekly"), workspace(project, head(project), me):
            pass
        assert (tree / "mine.txt").exists()


def remove(home: Path, project: Path) -> None:
    shutil.rmtree(home / "workspace")


def leave_locks(home: Path, project: Path) -> None:
    for name in ("index.lock", "HEAD.lock"):
        (project / ".git/worktrees/workspace" / name).touch()


def forget(home: Path, project: Path) -> None:
    shutil.rmtree(project / ".git/worktrees")


def break_link(home: Path, project: Path) -> None:
    (home / "workspace/.git").write_text("gitdir: /nowhere\n")


def put_a_file(home: Path, project: Path) -> None:
    shutil.rmtree(home / "workspace")
    (home / "workspace").touch()


def kill_in_checkout(home: Path, project: Path) -> None:
    (project / ".git/worktrees/workspace/index").write_bytes(b"half")


@pytest.mark.parametrize("damage", [remove, leave_locks, forget, break_link, put_a_file, kill_in_checkout])
def test_what_a_kill_or_a_hand_has_broken_is_made_whole(
    project: Path, me: Holder, home: Path, damage: Callable[[Path, Path], None]
) -> None:
    with workspace(project, head(project), me):
        pass
    assert "locked roadseg" in git(project, "worktree", "list", "--porcelain")
    damage(home, project)
    newer = change(project, "params.yaml", "scan: {seed: 1}\n")
    with workspace(project, newer, me) as tree:
        assert head(tree) == newer
        assert git(tree, "status", "--porcelain") == ""
    assert "locked roadseg" in git(project, "worktree", "list", "--porcelain")


def test_a_home_that_another_repository_used_is_taken_over(
    project: Path, tiny: Path, me: Holder, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(tiny, tmp_path / "other", symlinks=True))
    with workspace(project, head(project), me):
        pass
    newer = change(other, "params.yaml", "scan: {seed: 1}\n")
    with workspace(other, newer, me) as tree:
        assert head(tree) == newer


def test_neither_hooks_nor_the_identity_of_the_person_matter(
    project: Path, remote: Path, me: Holder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("pre-commit", "commit-msg", "post-checkout", "post-commit", "pre-push", "reference-transaction"):
        hook = project / ".git/hooks" / name
        hook.write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/hooked\nexit 1\n")
        hook.chmod(0o755)
    git(project, "config", "commit.gpgSign", "true")
    git(project, "config", "user.useConfigOnly", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"):
        monkeypatch.setenv(name, "the person")
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index of a hook that calls us"))
    with workspace(project, head(project), me) as tree:
        write_overrides(tree, {"scan": {"seed": 1}})
        done = commit_results(tree, "roadseg/retrain/one", "results")
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert done.pushed
    assert git(project, "log", "-1", "--format=%an %cn", done.commit) == "roadseg roadseg"
    assert not (tmp_path / "hooked").exists()


def test_a_subfolder_of_a_repository_is_yielded(tmp_path: Path, me: Holder, home: Path) -> None:
    company = tmp_path / "company"
    write(company, {"other/file.txt": "one\n"})
    commit(company, "start")
    make_project(company / "vision/roads", "--subdir")
    commit(company, "project")
    with workspace(company / "vision/roads", head(company), me) as tree:
        assert tree == home / "workspace/vision/roads"
        bring_data(tree)
        assert (tree / IMAGE).exists()
        run(tree, "dvc", "repro", "-q")
        write_overrides(tree, {"scan": {"seed": 0}})
        done = commit_results(tree, "roadseg/retrain/one", "results")
    changed = git(company, "diff", "--name-only", "HEAD", done.commit).splitlines()
    assert changed == ["vision/roads/dvc.lock", "vision/roads/metrics.json"]
    sibling = change(company, "other/file.txt", "two\n")
    before = RunRecord(run="one", name="held", commit=done.commit)
    assert find_changes(company / "vision/roads", sibling, {}, before).sentence() == "nothing changed since held"
    with pytest.raises(UsageError, match=r"has no other/dvc\.yaml: it does not hold the project"):
        trees_in_home.stand(company / "other", home / "look", sibling)


def test_data_come_from_the_cache_of_the_person_and_else_from_the_remote(
    project: Path, me: Holder, tmp_path: Path
) -> None:
    cache, away = project / ".dvc/cache", tmp_path / "away"
    files = [path for path in (cache / "files").rglob("*") if path.is_file()]
    with workspace(project, head(project), me) as tree:
        victim = next(path for path in files if path.read_bytes() == b"image 1")
        victim.unlink()
        with pytest.raises(
            UsageError, match=r"data/raw \(md5 .*\): 1 of its files are not in DVC's cache .*/cache, and"
        ):
            bring_data(tree)
    victim.parent.mkdir(parents=True, exist_ok=True)
    victim.write_bytes(b"image 1")
    write(project, {".dvc/config.local": f"[core]\n    remote = shelf\n['remote \"shelf\"']\n    url = {away}\n"})
    run(project, "dvc", "push", "-q")
    shutil.rmtree(cache)
    with workspace(project, head(project), me) as tree:
        bring_data(tree)
        assert (tree / IMAGE).read_text() == "image 1"
        assert (tree / ".dvc/config.local").stat().st_mode & 0o777 == 0o600
    assert cache.exists()


def test_data_that_a_killed_run_left_half_written_are_put_right(project: Path, me: Holder) -> None:
    with workspace(project, head(project), me) as tree:
        bring_data(tree)
        (tree / IMAGE).write_text("half")
        write(tree, {"data/raw/leftImg8bit/train/9/b_image.jpg": "half a drive"})
        bring_data(tree)
        assert (tree / IMAGE).read_text() == "image 1"
        assert not (tree / "data/raw/leftImg8bit/train/9").exists()


def test_files_that_are_as_the_lock_has_them_are_not_brought_again(
    project: Path, me: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(trees_in_home, "dvc", lambda tree, *words: asked.append(words[0]) or dvc(tree, *words))
    with workspace(project, head(project), me) as tree:
        assert bring_data(tree) is None
        run(tree, "dvc", "repro", "-q")
        assert bring_data(tree) == {}
        (tree / IMAGE).write_text("half")
        assert bring_data(tree) is None
        write_overrides(tree, {"scan": {"seed": 1}})
        assert "scan" in (bring_data(tree) or {})
        assert (tree / IMAGE).read_text() == "image 1"
    assert asked == ["checkout", "checkout"]


def test_what_changed_is_answered_without_bringing_data(project: Path, me: Holder, home: Path) -> None:
    with workspace(project, head(project), me) as tree:
        bring_data(tree)
        run(tree, "dvc", "repro", "-q")
        done = commit_results(tree, "roadseg/retrain/one", "results")
        record = RunRecord(run="one", name="held", commit=done.commit)
        assert find_changes(project, head(project), {}, record).sentence() == "nothing changed since held"
    add_drive(project, "3")
    commit(project, "more data")
    assert find_changes(project, head(project), {}, record).drives_added == ("train/3",)
    assert not (home / "look/data/raw").exists()
    assert not (home / "look/data/scan.parquet").exists()


def test_a_run_waits_for_what_a_killed_one_left(
    project: Path,
    me: Holder,
    home: Path,
    background: Callable[..., subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with workspace(project, head(project), me):
        pass
    background(["sleep", "60"], cwd=home / "workspace")
    nap = [sys.executable, "-c", "import time; time.sleep(60)"]
    background([*nap, "src/roadseg/train/stage.py"], cwd=home / "workspace")  # a person's editor
    left = background([*nap, "-m", "roadseg", "train"], cwd=home / "workspace")
    monkeypatch.setattr(trees_in_home, "LEFT", 0.5)
    with pytest.raises(Busy, match=f"a killed run left process {left.pid} in"), workspace(project, head(project), me):
        pass
    monkeypatch.setattr(trees_in_home, "LEFT", 30)
    left.kill()
    with workspace(project, head(project), me):
        pass
