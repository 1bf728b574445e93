import subprocess
from pathlib import Path

import pytest
from trees import commit

from roadseg.pipeline.git import git_state


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree/below").mkdir(parents=True)
    (tmp_path / "tree/file.txt").write_text("one\n")
    commit(tmp_path / "tree", "start")
    return tmp_path / "tree"


def head(tree: Path) -> str:
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tree, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_committed_tree_is_clean(tree: Path) -> None:
    state = git_state(tree)
    assert (state.commit, state.dirty, state.diff) == (head(tree), False, "")
    assert git_state(tree / "below") == state


def test_a_change_is_dirty_and_shown(tree: Path) -> None:
    (tree / "file.txt").write_text("two\n")
    state = git_state(tree)
    assert state.dirty
    assert "-one\n+two" in state.diff


def test_a_staged_change_is_shown_too(tree: Path) -> None:
    (tree / "file.txt").write_text("two\n")
    subprocess.run(["git", "add", "file.txt"], cwd=tree, check=True)
    assert "-one\n+two" in git_state(tree).diff


def test_a_new_file_makes_a_tree_dirty(tree: Path) -> None:
    (tree / "new.py").touch()
    state = git_state(tree)
    assert (state.commit, state.dirty, state.diff) == (head(tree), True, "")


def test_ignored_files_are_no_change(tree: Path) -> None:
    (tree / ".gitignore").write_text("data/\n")
    commit(tree, "ignore")
    (tree / "data").mkdir()
    (tree / "data/raw").touch()
    assert not git_state(tree).dirty


@pytest.mark.parametrize("initialised", [False, True])
def test_without_a_commit_nothing_is_known(tmp_path: Path, initialised: bool) -> None:
    if initialised:
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    state = git_state(tmp_path)
    assert (state.commit, state.dirty, state.diff) == ("", True, "")
