import subprocess
from pathlib import Path

import pytest
from trees import commit

from roadseg.pipeline import git
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


GRAPH = """
stages:
  one:
    cmd: roadseg one
    deps: [src]
    outs: [data/one, reports/verdict.json: {cache: false}]
    metrics: [metrics.json: {cache: false}]
"""


def test_what_the_graph_writes_is_no_change(tree: Path) -> None:
    (tree / "dvc.yaml").write_text(GRAPH)
    (tree / "metrics.json").write_text("{}")
    commit(tree, "graph")
    (tree / "metrics.json").write_text('{"miou": 1}')
    (tree / "dvc.lock").touch()
    (tree / "reports").mkdir()
    (tree / "reports/verdict.json").touch()
    state = git_state(tree)
    assert (state.commit, state.dirty, state.diff) == (head(tree), False, "")
    (tree / "file.txt").write_text("two\n")
    state = git_state(tree)
    assert state.dirty
    assert "-one\n+two" in state.diff
    assert "miou" not in state.diff


def test_a_sibling_in_the_same_repository_is_not_told_of(tree: Path) -> None:
    (tree / "below/own.txt").write_text("one\n")
    commit(tree, "more")
    (tree / "file.txt").write_text("the sibling's secret\n")
    (tree / "new.txt").touch()
    assert git_state(tree / "below") == git.GitState(head(tree), False, "")
    (tree / "below/own.txt").write_text("two\n")
    state = git_state(tree / "below")
    assert "+++ b/own.txt" in state.diff
    assert "secret" not in state.diff


def test_a_difference_has_a_bound(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "LONGEST", 1000)
    (tree / "file.txt").write_text("many words\n" * 1000)
    diff = git_state(tree).diff
    assert len(diff) < 1100
    assert "more characters are left out" in diff


def test_settings_of_the_user_hide_no_new_file_and_run_no_program(tree: Path) -> None:
    for setting in (("status.showUntrackedFiles", "no"), ("diff.external", "false")):
        subprocess.run(["git", "config", *setting], cwd=tree, check=True)
    (tree / "file.txt").write_text("two\n")
    assert "-one\n+two" in git_state(tree).diff
    subprocess.run(["git", "checkout", "-q", "file.txt"], cwd=tree, check=True)
    (tree / "new.py").touch()
    assert git_state(tree).dirty


def test_without_git_or_in_another_user_s_repository_it_is_said_what_to_do(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # as git's own tests do
    state = git_state(tree)
    assert (state.commit, state.dirty) == ("", True)
    assert f"git config --global --add safe.directory {tree}" in state.problem
    monkeypatch.setenv("PATH", str(tree))
    assert "apt-get install git" in git_state(tree).problem
    assert git.git(tree, "log") == ""


def test_a_change_is_dirty_and_shown(tree: Path) -> None:
    (tree / "file.txt").write_text("two\n")
    state = git_state(tree)
    assert state.dirty
    assert "-one\n+two" in state.diff


def test_a_staged_change_is_shown_too(tree: Path) -> None:
    (tree / "file.txt").write_text("two\n")
    subprocess.run(["git", "add", "file.txt"], cwd=tree, check=True)
    assert "-one\n+two" in git_state(tree).diff


def test_a_new_file_makes_a_tree_dirty_and_is_told_without_touching_the_index(tree: Path) -> None:
    (tree / "new.py").write_text("new\n")
    before = (tree / ".git/index").read_bytes()
    state = git_state(tree)
    assert (state.commit, state.dirty, state.whole) == (head(tree), True, True)
    assert "new file mode" in state.diff
    assert "+new" in state.diff
    assert (tree / ".git/index").read_bytes() == before


def test_new_files_that_are_too_large_are_left_out_and_the_small_ones_are_not(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "LONGEST", 1000)
    (tree / "large.bin").write_bytes(bytes(2000))
    (tree / "small.py").write_text("small\n")
    state = git_state(tree)
    assert (state.dirty, state.whole) == (True, False)
    assert "small.py" in state.diff
    assert "large.bin" not in state.diff


@pytest.mark.parametrize("below", ["", "below"])
def test_git_makes_the_same_tree_of_the_difference(tree: Path, tmp_path: Path, below: str) -> None:
    for setting in (("diff.noprefix", "true"), ("color.ui", "always"), ("diff.context", "0")):
        subprocess.run(["git", "config", *setting], cwd=tree, check=True)
    changed = tree / below
    for name in ("lines", "bytes", "deleted"):
        (changed / name).write_text("one\ntwo\n")
    commit(tree, "more")
    (changed / "lines").write_bytes(b"one\r\nzw\xf6lf\n")
    (changed / "bytes").write_bytes(bytes(range(256)))
    (changed / "deleted").unlink()
    (changed / "new [a]").write_text("new")
    (changed / "new.bin").write_bytes(bytes(100))
    state = git_state(changed)
    assert state.whole
    subprocess.run(["git", "clone", "-q", tree, tmp_path / "other"], check=True)
    given = state.diff.encode(errors="surrogateescape")
    command = ["git", "apply", f"--directory={below}"] if below else ["git", "apply"]
    subprocess.run(command, cwd=tmp_path / "other", input=given, check=True)
    files = {path.name: path.read_bytes() for path in (tmp_path / "other" / below).iterdir() if path.is_file()}
    assert files == {path.name: path.read_bytes() for path in changed.iterdir() if path.is_file()}
    assert "deleted" not in files


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
