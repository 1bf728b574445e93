"""Earlier versions of an out, from git's history and DVC's cache."""

import hashlib
import subprocess
from pathlib import Path

import pytest
import yaml
from trees import commit

from roadseg.pipeline.history import earlier_version

OUT = "data/scan.parquet"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An empty repository of git and DVC."""
    commit(tmp_path, "start")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").touch()
    return tmp_path


def make(tree: Path, content: str, cached: bool = True) -> None:
    """Leave the tree as a run of scan would."""
    md5 = hashlib.md5(content.encode()).hexdigest()
    (tree / "data").mkdir(exist_ok=True)
    (tree / OUT).write_text(content)
    outs = [{"path": "data/other"}, {"path": OUT, "md5": md5}]
    (tree / "dvc.lock").write_text(yaml.safe_dump({"stages": {"scan": {"outs": outs}, "no": {"cmd": "x"}}}))
    if cached:
        path = tree / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def found(tree: Path) -> tuple[str, str | None] | None:
    """Subject and content of the earlier version."""
    earlier = earlier_version(tree, OUT)
    return earlier and (earlier.subject, earlier.path and earlier.path.read_text())


def test_before_the_first_commit_there_is_none(tree: Path) -> None:
    make(tree, "one")
    assert found(tree) is None


def test_an_uncommitted_version_is_compared_with_head_s(tree: Path) -> None:
    make(tree, "one")
    commit(tree, "first")
    make(tree, "two")
    assert found(tree) == ("first", "one")


def test_a_committed_version_is_compared_with_the_newest_other_one(tree: Path) -> None:
    for content in ("one", "two", "three"):
        make(tree, content)
        commit(tree, f"commit {content}")
    make(tree, "three")
    assert found(tree) == ("commit two", "two")
    make(tree, "one")
    assert found(tree) == ("commit three", "three")


def test_a_version_that_the_cache_lacks_is_named_without_bytes(tree: Path) -> None:
    make(tree, "one", cached=False)
    commit(tree, "first")
    make(tree, "two")
    assert found(tree) == ("first", None)


def test_a_lock_that_cannot_be_read_is_passed_over(tree: Path) -> None:
    make(tree, "one")
    commit(tree, "first")
    for broken in ("<<<<<<< HEAD\n\tx", "[]", "stages: 3", ""):
        (tree / "dvc.lock").write_text(broken)
        commit(tree, "broken")
    make(tree, "two")
    assert found(tree) == ("first", "one")


def test_the_cache_is_where_dvc_is_told_it_is(tree: Path) -> None:
    make(tree, "one")
    commit(tree, "first")
    (tree / ".dvc/cache").rename(tree / "elsewhere")
    (tree / ".dvc/config.local").write_text("[cache]\n    dir = ../elsewhere\n")
    make(tree, "two")
    assert found(tree) == ("first", "one")


def test_outside_git_there_is_none(tmp_path: Path) -> None:
    make(tmp_path, "one")
    assert subprocess.run(["git", "status"], cwd=tmp_path, capture_output=True).returncode
    assert found(tmp_path) is None
