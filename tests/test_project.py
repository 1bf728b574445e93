"""What holds for the project as a whole."""

import re
import subprocess
import tomllib

import pytest
from trees import ROOT

TRACKED = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True).stdout.split("\0")[:-1]


def test_ci_runs_the_two_commands_of_the_readme() -> None:
    first_screen = re.search(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert first_screen
    promised = re.findall(r"^make \w+", first_screen[1], re.MULTILINE)
    assert promised == ["make demo", "make test"]
    assert re.findall(r"^make \w+", (ROOT / ".ci/run").read_text(), re.MULTILINE) == promised


def test_the_user_s_files_are_neither_in_the_project_nor_ignored() -> None:
    theirs = ["data/raw.dvc", "data/classes.yaml", "data/reference.json", "data/quarantine.csv", "dvc.lock"]
    theirs += ["metrics.json", "reports/verdict.json"]
    assert not set(theirs) & set(TRACKED)
    assert subprocess.run(["git", "check-ignore", *theirs], cwd=ROOT, capture_output=True).returncode == 1


def test_every_dependency_is_locked_with_a_hash_and_no_registry_is_named() -> None:
    lock = (ROOT / "requirements/dev.txt").read_text()
    pinned = re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [re.match(r"[a-z0-9-]+", need)[0] for need in wanted["dependencies"]]  # type: ignore[index]
    assert set(named) <= set(pinned)
    assert lock.count("--hash=sha256:") >= len(pinned)
    assert "://" not in lock


@pytest.mark.parametrize("name", [name for name in TRACKED if name.endswith(".py")])
def test_no_file_is_longer_than_300_lines(name: str) -> None:
    if (ROOT / name).exists():
        assert len((ROOT / name).read_text().splitlines()) <= 300


def test_package_init_files_stay_empty() -> None:
    for name in TRACKED:
        if name.endswith("__init__.py") and name.startswith("src/"):
            assert (ROOT / name).read_text() == "", name
