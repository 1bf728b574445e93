"""The words of `docker/stack.py` that need no engine."""

import importlib.util
import json
import re
import stat
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from trees import ROOT
from workspace_project import git

EXAMPLE = ROOT / "docker/.env.example"


@pytest.fixture(scope="module")
def stack() -> ModuleType:
    spec = importlib.util.spec_from_file_location("stack", ROOT / "docker/stack.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_empty_secret_gets_one_of_its_own(stack: ModuleType, tmp_path: Path) -> None:
    stack.write_env(tmp_path / ".env")
    wanted = re.findall(r"^([A-Z_]+)=$", EXAMPLE.read_text(), re.MULTILINE)
    found = {name: stack.settings(tmp_path / ".env")[name] for name in wanted}
    assert len(set(found.values())) == len(wanted) > 8
    assert all(re.fullmatch(r"(admin:)?[0-9a-f]{48}", value) for value in found.values())
    assert found["PREFECT_AUTH"].startswith("admin:")
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_what_a_person_has_set_stays(stack: ModuleType, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DOMAIN=roads.example\nMODELS_PASSWORD=\nSTORE_WORKER_SECRET=k3v9x0q7w2r5t8y1\n")
    stack.write_env(tmp_path / ".env")
    found = stack.settings(tmp_path / ".env")
    assert (found["DOMAIN"], found["STORE_WORKER_SECRET"]) == ("roads.example", "k3v9x0q7w2r5t8y1")
    assert len(found["MODELS_PASSWORD"]) == len(found["MODELS_TOKEN"]) == 48  # the second it did not name yet
    with pytest.raises(stack.Refused, match="has all its secrets"):
        stack.write_env(tmp_path / ".env")


def test_the_environment_wins_over_the_file(stack: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("TAG=one\n")
    monkeypatch.setenv("TAG", "two")
    assert stack.settings(tmp_path / ".env")["TAG"] == "two"


def test_without_settings_it_says_how_to_get_them(stack: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(stack.Refused, match=re.escape("stack.py env")):
        stack.settings(tmp_path / ".env")


@pytest.mark.parametrize("damage", ["none", "gone", "changed", "other format"])
def test_a_damaged_backup_is_refused_before_anything_starts(
    stack: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    def start(*_: object, **__: object) -> None:
        raise AssertionError("started")

    monkeypatch.setattr(stack, "_run", start)
    (tmp_path / "mlflow.dump").write_bytes(b"rows")
    about = {"format": stack.FORMAT, "sha256": {"mlflow.dump": stack._digest(tmp_path / "mlflow.dump")}}
    if damage == "changed":
        (tmp_path / "mlflow.dump").write_bytes(b"bows")
    if damage == "gone":
        (tmp_path / "mlflow.dump").unlink()
    if damage == "other format":
        about["format"] = 99
    (tmp_path / "backup.json").write_text(json.dumps(about))
    expected = (AssertionError, "started") if damage == "none" else (stack.Refused, r"mlflow\.dump|format 99")
    with pytest.raises(expected[0], match=expected[1]):
        stack.restore(tmp_path)


def test_a_backup_overwrites_nothing(stack: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(stack.Refused, match="name a new folder"):
        stack.backup(tmp_path)


def test_a_backup_s_repository_names_nothing_that_is_not_pushed_after_it(
    stack: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, done = tmp_path / "tree", list[str]()
    git(tmp_path, "init", "-q", "-b", "main", str(tree))
    git(tree, "remote", "add", "origin", "https://example.org/roads.git")
    git(tree, "commit", "-q", "--allow-empty", "-m", "first")

    def compose(*words: str, **streams: Any) -> bytes:
        command = words[words.index("-T") + 2 :] if "exec" in words else words
        done.append(" ".join(command[:2]))
        if command[0] in ("git", "sh"):
            return subprocess.run(command, cwd=tree, check=True, **streams).stdout or b""
        if done.count("dvc push") == 1 and done[-1] == "dvc push":  # a run ends meanwhile
            git(tree, "branch", "roadseg/retrain/1")
        return b""

    monkeypatch.setattr(stack, "_compose", compose)
    monkeypatch.setattr(stack, "_bucket", lambda word, name, **_: done.append(f"bucket {name}"))
    stack.backup(tmp_path / "backup")
    order = [each for each in done if each.split()[0] in ("sh", "dvc", "pg_dump", "bucket")]
    assert order[:4] == ["sh -c", "dvc push", "sh -c", "dvc push"]
    assert [each.split()[0] for each in order[4:]] == ["pg_dump"] * 3 + ["bucket"] * 2

    (restored := tmp_path / "restored").joinpath(".git").mkdir(parents=True)
    with (tmp_path / "backup/git.tar").open("rb") as file:
        subprocess.run(["sh", "-c", stack.UNPACK], cwd=restored, stdin=file, check=True)
    shown = ("for-each-ref", "--format=%(refname) %(objectname)")
    assert git(restored, *shown) == git(tree, *shown)
    assert "roadseg/retrain/1" in git(restored, "branch", "--list", "roadseg/*")
    assert git(restored, "rev-parse", "HEAD") == git(tree, "rev-parse", "main")
    assert git(restored, "remote", "get-url", "origin") == "https://example.org/roads.git"

    def always(*words: str, **streams: Any) -> bytes:
        if "dvc" in words:
            git(tree, "commit", "-q", "--allow-empty", "-m", "another")
        return compose(*words, **streams)

    monkeypatch.setattr(stack, "_compose", always)
    with pytest.raises(stack.Refused, match="runs commit all the time"):
        stack.backup(tmp_path / "never")
