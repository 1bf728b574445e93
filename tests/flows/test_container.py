"""The worker of a container, before it starts to work: its data, and a commit that holds them."""

import os
from pathlib import Path

import pytest
from trees import append, commit

from flows.services import container
from roadseg.pipeline.git import git

SAYS = '#!/bin/sh\necho "dvc $*" >> "$SAID"\n'


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that is the current folder, and what `dvc` was told in it."""
    tree, tools = tmp_path / "tree", tmp_path / "tools"
    for folder in (tree, tools):
        folder.mkdir()
    (tools / "dvc").write_text(SAYS)
    (tools / "dvc").chmod(0o755)
    (tree / "params.yaml").write_text("one: 1\n")
    commit(tree, "start")
    monkeypatch.chdir(tree)
    monkeypatch.setenv("SAID", str(tmp_path / "said"))
    monkeypatch.setenv("PATH", os.pathsep.join([str(tools), os.environ["PATH"]]))
    (tmp_path / "said").touch()
    return tmp_path / "said"


def commits() -> list[str]:
    return git(Path.cwd(), "log", "--format=%s").splitlines()


def test_what_an_image_or_an_import_brought_is_committed_once(said: Path) -> None:
    container.commit_tree()
    assert commits() == ["start"]
    append(Path("params.yaml"), "two: 2\n")
    container.commit_tree()
    container.commit_tree()
    assert len(commits()) == 2
    assert git(Path.cwd(), "show", "HEAD:params.yaml").strip() == "one: 1\ntwo: 2"


def test_data_that_a_restored_commit_names_are_pulled(said: Path) -> None:
    Path("data").mkdir()
    Path("data/raw.dvc").write_text("outs: []\n")
    commit(Path.cwd(), "data")
    Path("data/raw.dvc").unlink()
    append(Path("params.yaml"), "two: 2\n")
    container.have_data()
    assert Path("data/raw.dvc").read_text() == "outs: []\n"
    assert Path("params.yaml").read_text() == "one: 1\ntwo: 2\n", "the image's own file goes before the commit's"
    assert said.read_text() == "dvc pull --quiet data/raw.dvc\n"


def test_data_that_are_there_stay(said: Path) -> None:
    Path("data/raw").mkdir(parents=True)
    Path("data/raw.dvc").write_text("outs: []\n")
    container.have_data()
    assert said.read_text() == ""


def test_the_store_of_the_stack_is_dvc_s_remote(said: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://store:18330")
    container.set_remote("s3://dvc")
    assert said.read_text().splitlines() == [
        "dvc remote add --global --force --default stack s3://dvc",
        "dvc remote modify --global stack endpointurl http://store:18330",
    ]
    said.write_text("")
    container.set_remote("")
    assert said.read_text() == ""


def test_a_worker_of_a_stack_has_the_stack_s_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:15000")
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect:14200/api")
    env = container.container_environment()
    assert (env["MLFLOW_TRACKING_URI"], env["PREFECT_API_URL"]) == ("http://mlflow:15000", "http://prefect:14200/api")
    assert (env["ROADSEG_POOL"], env["OWN_PREFECT"]) == ("roadseg", "true"), "names carry no checkout"
