"""The template for a team's CI: its steps, run as they stand in the file, in a clone as CI has it."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from trees import ROOT, change_params, command_environment, commit, run

TEMPLATE = ROOT / "docs/ci/github-actions.yaml"
LEFT_OUT = {"install", "comment"}  # they need the network


def steps() -> dict[str, str]:
    """The commands of the template by the names of their steps."""
    listed = yaml.safe_load(TEMPLATE.read_text())["jobs"]["results"]["steps"]
    return {step["name"]: step["run"] for step in listed if "run" in step}


@pytest.fixture
def upstream(finished: Path, tmp_path: Path) -> Path:
    """A team's checkout with a remote of DVC, whose branch main has been run."""
    tree = Path(shutil.copytree(finished, tmp_path / "upstream", symlinks=True))
    run(tree, "dvc", "remote", "add", "-q", "-d", "store", str(tmp_path / "store"))
    commit(tree, "name a remote")
    run(tree, "dvc", "push", "-q", "reports/evaluation")
    run(tree, "git", "checkout", "-q", "-b", "change")
    return tree


def pull_request(upstream: Path, folder: Path) -> tuple[str, int]:
    """What the steps leave as a comment on a clone of branch `change`, and how the last ends."""
    run(upstream, "git", "clone", "-q", "-b", "change", str(upstream), str(folder))
    status = 0
    for name, command in steps().items():
        if name not in LEFT_OUT:
            env = command_environment(folder, BASE="origin/main")
            done = subprocess.run(
                ["bash", "-eo", "pipefail", "-c", command], cwd=folder, env=env, capture_output=True, text=True
            )
            status = done.returncode
            assert status == 0 or name.startswith("fail"), f"{name}: {done.stdout}\n{done.stderr}"
    return (folder / "comment.txt").read_text(), status


def test_results_that_are_up_to_date_are_compared_with_those_of_main(upstream: Path, tmp_path: Path) -> None:
    (upstream / "README.md").write_text("another word\n")
    commit(upstream, "edit a document")
    comment, status = pull_request(upstream, tmp_path / "clone")
    assert status == 0, comment
    assert "Results are up to date" in comment
    assert "+0.0000" in comment
    assert "against `origin/main`" in comment
    assert "| class | IoU before | now | difference |" in comment


def test_a_change_that_nobody_has_run_says_what_it_is_and_fails(upstream: Path, tmp_path: Path) -> None:
    change_params(upstream, {"train": {"epochs": 3}})
    commit(upstream, "train longer")
    comment, status = pull_request(upstream, tmp_path / "clone")
    assert status == 1
    assert "Stages would run again" in comment
    assert "train.epochs" in comment
    assert "params.yaml" in comment
